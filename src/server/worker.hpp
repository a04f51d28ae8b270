#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace gantry::server {

/// One thread that runs tasks in order, so that the server's thread never waits for them. The queue is bounded. What
/// still waits when the worker goes is dropped unrun. Thread-safe.
class Worker {
 public:
  explicit Worker(std::size_t most) : most_(most), thread_([this] { run(); }) {}
  ~Worker() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// False where the queue is full. Tasks must not throw.
  [[nodiscard]] bool post(std::function<void()> task) {
    {
      const std::lock_guard lock{mutex_};
      if (tasks_.size() >= most_) return false;
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return true;
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace gantry::server
