#pragma once
// Protection against what scheduling cannot mend. A CircuitBreaker stops work on one device that fails; the
// DegradeLadder gives up the least important work of the whole server, step by step, while results come late, batches
// fail or memory runs short. Pure, not thread-safe, no allocation; time is an argument.
//
// Hysteresis. A breaker that opens stays open for its hold (1 s at first, doubled at each relapse up to 30 s), so two
// openings are never closer than the hold. The ladder goes up at most one step in 2 s and down at most one step in 5 s.
#include <array>
#include <cstdint>
#include <string_view>

#include "gantry/core/clock.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

enum class BreakerReason : std::uint8_t { kNone, kErrors, kTimeouts, kDeadlineMisses, kMemory };
/// "", "errors", "timeouts", "deadline_misses", "memory".
[[nodiscard]] std::string_view to_string(BreakerReason reason) noexcept;

class CircuitBreaker {
 public:
  enum class State : std::uint8_t {
    kClosed,    ///< works
    kOpen,      ///< gets nothing
    kHalfOpen,  ///< gets one batch of one frame at a time, to see
  };
  static constexpr Duration kFirstHold = std::chrono::seconds{1};
  static constexpr Duration kLongestHold = std::chrono::seconds{30};
  static constexpr int kErrorsInARow = 3;        ///< that open it
  static constexpr int kWindow = 20;             ///< batches over which the share of errors is taken
  static constexpr double kErrorShare = 0.5;     ///< of a full window, that opens it
  static constexpr double kLateShare = 0.9;      ///< of a full window, that came late, opens it
  static constexpr int kTrials = 2;              ///< good batches in a row that close it again
  static constexpr double kMemoryOpens = 0.98;   ///< share of the device's memory in use
  static constexpr double kMemoryCloses = 0.90;  ///< has to be below before it half-opens

  /// A batch ended. @param late whether most of its frames were answered after their deadlines. No frame is started
  /// that would be late by the learned latency, so a device whose answers are late all the same can't be planned with.
  void on_batch(BatchStatus status, bool late, TimePoint now) noexcept;
  void on_memory(double used, TimePoint now) noexcept;
  /// Open becomes half-open when its hold is over. @return whether the state changed
  bool poll(TimePoint now) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] BreakerReason reason() const noexcept { return reason_; }
  /// When poll() will change something; kNever where only an event will.
  [[nodiscard]] TimePoint next_change() const noexcept;
  [[nodiscard]] std::uint64_t times_opened() const noexcept { return times_opened_; }

 private:
  void open(BreakerReason reason, TimePoint now) noexcept;
  void clear_window() noexcept;

  State state_ = State::kClosed;
  BreakerReason reason_ = BreakerReason::kNone;
  TimePoint until_{};
  TimePoint closed_at_{};
  Duration hold_ = kFirstHold;
  int errors_in_a_row_ = 0;
  int trials_ = 0;
  std::uint32_t failed_ = 0;  // bit i: batch i of the last kWindow failed
  std::uint32_t late_ = 0;    // bit i: it came late
  int window_size_ = 0;
  double memory_ = 0;
  std::uint64_t times_opened_ = 0;
};
[[nodiscard]] std::string_view to_string(CircuitBreaker::State state) noexcept;

/// The whole server's steps down. Each keeps what the steps before it do.
class DegradeLadder {
 public:
  enum Step : int {
    kNone = 0,
    kNoBackground = 1,    ///< background frames are shed on arrival
    kLowerRate = 2,       ///< every second frame of normal cameras is shed on arrival
    kSmallerBatches = 3,  ///< batches of at most half the device's limit
    kOpen = 4,            ///< only emergency and urgent frames are taken
  };
  static constexpr Duration kPeriod = std::chrono::seconds{1};
  static constexpr int kBadPeriods = 2;     ///< in a row, for a step up
  static constexpr int kGoodPeriods = 5;    ///< in a row, for a step down
  static constexpr int kLeastResults = 20;  ///< a period with fewer results says nothing
  static constexpr double kBadLate = 0.2;   ///< share of results that came late
  static constexpr double kGoodLate = 0.05;
  static constexpr double kBadErrors = 0.2;  ///< share of frames lost in failed batches
  static constexpr double kGoodErrors = 0.05;
  static constexpr double kBadMemory = 0.95;  ///< share in use
  static constexpr double kGoodMemory = 0.85;

  /// A batch of `frames` ended, `late` of them after their deadlines.
  void on_batch(BatchStatus status, int frames, int late, TimePoint now) noexcept;
  void on_memory(double used, TimePoint now) noexcept;
  /// Closes periods that are over. Called with every event; cheap.
  void poll(TimePoint now) noexcept;

  [[nodiscard]] int step() const noexcept { return step_; }
  [[nodiscard]] BreakerReason reason() const noexcept { return reason_; }

 private:
  void close_period() noexcept;

  int step_ = 0;
  BreakerReason reason_ = BreakerReason::kNone;
  TimePoint period_end_{};
  bool started_ = false;
  int results_ = 0, late_ = 0, failed_ = 0;
  double memory_ = 0;
  int bad_ = 0, good_ = 0;
};

}  // namespace gantry::scheduler
