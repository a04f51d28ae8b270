#include "gantry/scheduler/breaker.hpp"

#include <algorithm>
#include <bit>

namespace gantry::scheduler {

std::string_view to_string(BreakerReason reason) noexcept {
  switch (reason) {
    case BreakerReason::kNone:
      return "";
    case BreakerReason::kErrors:
      return "errors";
    case BreakerReason::kTimeouts:
      return "timeouts";
    case BreakerReason::kDeadlineMisses:
      return "deadline_misses";
    case BreakerReason::kMemory:
      return "memory";
  }
  return "unknown";
}

std::string_view to_string(CircuitBreaker::State state) noexcept {
  switch (state) {
    case CircuitBreaker::State::kClosed:
      return "closed";
    case CircuitBreaker::State::kOpen:
      return "open";
    case CircuitBreaker::State::kHalfOpen:
      return "half_open";
  }
  return "unknown";
}

void CircuitBreaker::clear_window() noexcept {
  failed_ = late_ = 0;
  window_size_ = 0;
  errors_in_a_row_ = 0;
}

void CircuitBreaker::open(BreakerReason reason, TimePoint now) noexcept {
  // A relapse soon after it closed, or in half-open, is punished with a longer hold.
  const bool relapse = state_ == State::kHalfOpen || (times_opened_ > 0 && now - closed_at_ < kLongestHold);
  hold_ = relapse ? std::min(hold_ * 2, kLongestHold) : kFirstHold;
  state_ = State::kOpen;
  reason_ = reason;
  until_ = now + hold_;
  ++times_opened_;
  clear_window();
}

void CircuitBreaker::on_batch(BatchStatus status, bool late, TimePoint now) noexcept {
  const bool failed = status != BatchStatus::kOk;
  late = late && !failed;
  const auto why_failed = status == BatchStatus::kTimeout ? BreakerReason::kTimeouts : BreakerReason::kErrors;
  switch (state_) {
    case State::kOpen:
      return;  // a batch from before it opened
    case State::kHalfOpen:
      if (failed || late) {
        open(failed ? why_failed : BreakerReason::kDeadlineMisses, now);
      } else if (++trials_ >= kTrials) {
        state_ = State::kClosed;
        closed_at_ = now;
        clear_window();
      }
      return;
    case State::kClosed:
      constexpr std::uint32_t kMask = (1U << kWindow) - 1;
      failed_ = ((failed_ << 1U) | (failed ? 1U : 0U)) & kMask;
      late_ = ((late_ << 1U) | (late ? 1U : 0U)) & kMask;
      window_size_ = std::min(window_size_ + 1, kWindow);
      errors_in_a_row_ = failed ? errors_in_a_row_ + 1 : 0;
      const bool full = window_size_ == kWindow;
      // A batch that never came back still holds its place: one is enough.
      if (status == BatchStatus::kTimeout || errors_in_a_row_ >= kErrorsInARow ||
          (full && std::popcount(failed_) >= kErrorShare * kWindow))
        open(why_failed, now);
      else if (full && std::popcount(late_) >= kLateShare * kWindow)
        open(BreakerReason::kDeadlineMisses, now);
      return;
  }
}

void CircuitBreaker::on_memory(double used, TimePoint now) noexcept {
  memory_ = used;
  if (state_ != State::kOpen && used >= kMemoryOpens) open(BreakerReason::kMemory, now);
}

bool CircuitBreaker::poll(TimePoint now) noexcept {
  if (state_ != State::kOpen || now < until_) return false;
  if (reason_ == BreakerReason::kMemory && memory_ >= kMemoryCloses) return false;
  state_ = State::kHalfOpen;
  trials_ = 0;
  return true;
}

TimePoint CircuitBreaker::next_change() const noexcept {
  if (state_ != State::kOpen || (reason_ == BreakerReason::kMemory && memory_ >= kMemoryCloses)) return kNever;
  return until_;
}

void DegradeLadder::on_batch(BatchStatus status, int frames, int late, TimePoint now) noexcept {
  poll(now);
  results_ += frames;
  late_ += late;
  if (status != BatchStatus::kOk) failed_ += frames;
}

void DegradeLadder::on_memory(double used, TimePoint now) noexcept {
  poll(now);
  memory_ = used;
}

void DegradeLadder::poll(TimePoint now) noexcept {
  if (!started_) {
    started_ = true;
    period_end_ = now + kPeriod;
    return;
  }
  // After a long silence only the last periods matter, and they were empty.
  if (now - period_end_ > 10 * kPeriod) period_end_ = now - 10 * kPeriod;
  for (; now >= period_end_; period_end_ += kPeriod) close_period();
}

void DegradeLadder::close_period() noexcept {
  const double results = results_;
  const bool known = results_ >= kLeastResults;
  const double late = known ? late_ / results : 0;
  const double errors = known ? failed_ / results : 0;
  results_ = late_ = failed_ = 0;

  BreakerReason why = BreakerReason::kNone;
  if (late >= kBadLate) why = BreakerReason::kDeadlineMisses;
  if (errors >= kBadErrors) why = BreakerReason::kErrors;
  if (memory_ >= kBadMemory) why = BreakerReason::kMemory;
  const bool good = late <= kGoodLate && errors <= kGoodErrors && memory_ <= kGoodMemory;

  bad_ = why != BreakerReason::kNone ? bad_ + 1 : 0;
  good_ = good ? good_ + 1 : 0;
  if (bad_ >= kBadPeriods && step_ < kOpen) {
    ++step_;
    reason_ = why;
    bad_ = 0;
  } else if (good_ >= kGoodPeriods && step_ > kNone) {
    --step_;
    good_ = 0;
    if (step_ == kNone) reason_ = BreakerReason::kNone;
  }
}

}  // namespace gantry::scheduler
