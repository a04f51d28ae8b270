#pragma once
// One steady clock for the whole program. Deadlines, latencies and time-outs never use wall-clock time.
#include <atomic>
#include <chrono>

namespace gantry {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Where "now" comes from. Thread-safe; never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
};

class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
};

/// A clock that stands still until it is told to move; for tests and simulation.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(TimePoint start = TimePoint{}) : now_ns_(start.time_since_epoch().count()) {}
  [[nodiscard]] TimePoint now() const noexcept override { return TimePoint{Duration{now_ns_.load()}}; }
  void advance(Duration step) noexcept { now_ns_ += step.count(); }

 private:
  std::atomic<Duration::rep> now_ns_;
};

}  // namespace gantry
