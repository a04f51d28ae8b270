#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "gantry/app/system.hpp"

namespace gantry::app {

/// Hands each result to every listener. Thread-safe; outlives nobody: subscriptions keep it.
class ResultHub : public std::enable_shared_from_this<ResultHub> {
 public:
  [[nodiscard]] Subscription subscribe(ResultFn listener) {
    const std::unique_lock lock{mutex_};
    const auto number = next_++;
    listeners_.emplace(number, std::move(listener));
    return Subscription{[hub = shared_from_this(), number] {
      const std::unique_lock cancelling{hub->mutex_};  // waits for calls that are under way
      hub->listeners_.erase(number);
    }};
  }
  void publish(const sinks::FrameResult& result) const {
    const std::shared_lock lock{mutex_};
    for (const auto& [number, listener] : listeners_) listener(result);
  }

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::uint64_t, ResultFn> listeners_;
  std::uint64_t next_ = 0;
};

}  // namespace gantry::app
