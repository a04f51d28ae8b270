#pragma once
// Lets lanes run side by side, or one outsider alone. Whoever wants to be alone goes first: lanes that run one batch
// after another would never leave a moment free otherwise.
#include <condition_variable>
#include <mutex>

namespace gantry::cuda {

class Gate {
 public:
  /// Holds the gate as one of many for its lifetime.
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait(lock, [&] { return gate_.waiting_ == 0 && !gate_.closed_; });
      ++gate_.inside_;
    }
    ~Pass() {
      {
        const std::lock_guard lock(gate_.mutex_);
        --gate_.inside_;
      }
      gate_.changed_.notify_all();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate& gate_;
  };

  /// Runs `act` while nobody is inside. @pre the caller is not inside
  template <typename Act>
  void alone(Act&& act) {
    const Closed closed(*this);
    act();
  }

 private:
  class Closed {
   public:
    explicit Closed(Gate& gate) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      ++gate_.waiting_;
      gate_.changed_.wait(lock, [&] { return gate_.inside_ == 0 && !gate_.closed_; });
      --gate_.waiting_, gate_.closed_ = true;
    }
    ~Closed() {
      {
        const std::lock_guard lock(gate_.mutex_);
        gate_.closed_ = false;
      }
      gate_.changed_.notify_all();
    }
    Closed(const Closed&) = delete;
    Closed& operator=(const Closed&) = delete;

   private:
    Gate& gate_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0, waiting_ = 0;
  bool closed_ = false;
};

}  // namespace gantry::cuda
