#include <condition_variable>
#include <mutex>
#include <thread>

#include "gantry/core/expects.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::sinks {

class JsonlSink::Impl {
 public:
  Impl(const std::string& path, std::vector<std::string> class_names, std::size_t outbox)
      : file_(path, LineFile::Mode::kAppend), class_names_(std::move(class_names)), slots_(outbox), spare_(outbox) {
    GANTRY_EXPECTS(outbox > 0, "an outbox needs room for at least one result");
    thread_ = std::thread{[this] { run(); }};
  }

  ~Impl() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void publish(const FrameResult& result) {
    {
      const std::lock_guard lock{mutex_};
      if (count_ == slots_.size()) {
        ++stats_.overflowed;
        return;
      }
      slots_[count_++] = result;  // into what the slot already holds: no allocation once warm
      ++stats_.accepted;
    }
    wake_.notify_one();
  }

  void reopen() {
    const std::lock_guard lock{mutex_};
    reopen_ = true;
  }

  SinkStats stats() const {
    const std::lock_guard lock{mutex_};
    return stats_;
  }

 private:
  void run() {
    std::string lines;
    std::unique_lock lock{mutex_};
    while (true) {
      wake_.wait(lock, [this] { return count_ > 0 || stopping_; });
      if (count_ == 0) return;
      const auto taken = std::exchange(count_, 0);
      const bool reopen = std::exchange(reopen_, false);
      std::swap(slots_, spare_);
      lock.unlock();
      lines.clear();
      for (std::size_t i = 0; i < taken; ++i) append_jsonl(spare_[i], class_names_, lines);
      const bool good = write(lines, reopen);
      lock.lock();
      (good ? stats_.written : stats_.failed) += taken;
    }
  }

  /// On the writer's thread.
  bool write(const std::string& lines, bool reopen) {
    constexpr std::chrono::seconds kRetryAfter{1};
    const auto now = std::chrono::steady_clock::now();
    if (failing_ && !reopen && now < retry_at_) return false;
    if (failing_ || reopen) failing_ = !file_.reopen();
    if (!failing_) failing_ = !file_.write(lines);
    if (failing_) retry_at_ = now + kRetryAfter;
    return !failing_;
  }

  LineFile file_;
  const std::vector<std::string> class_names_;
  bool failing_ = false;                            // writer's thread only
  std::chrono::steady_clock::time_point retry_at_;  // writer's thread only

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<FrameResult> slots_;  // filled by publish()
  std::vector<FrameResult> spare_;  // being written; the two change places
  std::size_t count_ = 0;           // results in slots_
  bool reopen_ = false;
  bool stopping_ = false;
  SinkStats stats_;
  std::thread thread_;
};

JsonlSink::JsonlSink(const std::string& path, std::vector<std::string> class_names, std::size_t outbox)
    : impl_(std::make_unique<Impl>(path, std::move(class_names), outbox)) {}
JsonlSink::~JsonlSink() = default;
void JsonlSink::publish(const FrameResult& result) {
  impl_->publish(result);
}
void JsonlSink::reopen() {
  impl_->reopen();
}
SinkStats JsonlSink::stats() const {
  return impl_->stats();
}

}  // namespace gantry::sinks
