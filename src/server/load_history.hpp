#pragma once
#include <deque>
#include <string>

#include "gantry/core/clock.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::server {

/// Arrivals of the last half hour beside what had been predicted for each moment five minutes before it, which ends
/// five minutes ahead. Bounded. Not thread-safe.
class LoadHistory {
 public:
  static constexpr Duration kStep = std::chrono::seconds{5};
  static constexpr Duration kAhead = std::chrono::minutes{5};
  static constexpr std::size_t kMost = 360 + 60;  ///< half an hour, and what was predicted before it

  /// Once a second or so; keeps one sample a step. @param received frames to be run, of all cameras since start
  void look(std::uint64_t received, const scheduler::PolicyReport& report, TimePoint now);

  struct Sample {
    TimePoint at{};
    double arrived_fps = 0;    ///< in the step that ended at `at`
    double predicted_fps = 0;  ///< for `at` + kAhead
    double capacity_fps = 0;
  };
  [[nodiscard]] const std::deque<Sample>& samples() const noexcept { return samples_; }

 private:
  std::deque<Sample> samples_;
  std::uint64_t received_ = 0;
  TimePoint since_{};
  bool began_ = false;
};

}  // namespace gantry::server
