#pragma once
// The beat of one camera: period and phase by a phase-locked loop over its arrivals, and how far before and after the
// beat frames have come. Pure numbers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace gantry::scheduler {

using Ns = std::int64_t;
inline constexpr Ns kNsNever = std::numeric_limits<Ns>::max();

class Beat {
 public:
  /// A period that is known; the phase is still to be found.
  void set_period(double period_ns) noexcept { period_ns_ = period_ns; }

  void arrive(Ns now) noexcept {
    const Ns gap = last_ == kNsNever ? 0 : now - last_;
    last_ = now;
    if (period_ns_ <= 0) {
      if (gap <= 0) return;
      period_ns_ = static_cast<double>(gap);
      jitter_ns_ = period_ns_ / 2;  // not steady until shown to be
    }
    if (seen_ == 0) {
      lock(now);
      return;
    }
    const double off = static_cast<double>(now - next_);
    const double beats = std::max(0.0, std::round(off / period_ns_));  // that passed without a frame
    const double error = off - beats * period_ns_;
    jitter_ns_ += kJitterGain * (std::abs(error) - jitter_ns_);
    early_ns_ = std::max(early_ns_ * kExtremeDecay, -error);
    late_ns_ = std::max(late_ns_ * kExtremeDecay, error);
    astray_ = std::abs(error) > kAstray * period_ns_ ? astray_ + 1 : 0;
    if (astray_ >= 3) {  // the camera began anew with another phase
      lock(now);
      return;
    }
    const double gain = std::max(kPhaseGain, 1.0 / (seen_ + 1));
    seen_ = std::min(seen_ + 1, 1000);
    period_ns_ = std::max(1.0, period_ns_ + kPeriodGain * error / (beats + 1));
    next_ += static_cast<Ns>(beats * period_ns_ + gain * error + period_ns_);
  }

  [[nodiscard]] double period_ns() const noexcept { return period_ns_; }
  [[nodiscard]] bool known() const noexcept { return last_ != kNsNever; }
  /// Whether its next frame can be foretold.
  [[nodiscard]] bool steady() const noexcept {
    return seen_ > 0 && period_ns_ > 0 && jitter_ns_ < kSteady * period_ns_;
  }
  /// When the next frame is due. @pre steady()
  [[nodiscard]] Ns next() const noexcept { return next_; }
  /// The earliest time from `now` on at which a frame may come. @pre steady()
  [[nodiscard]] Ns earliest(Ns now) const noexcept {
    Ns due = next_;
    const auto late = static_cast<Ns>(kMargin * late_ns_) + kLeastMargin;
    const auto early = static_cast<Ns>(kMargin * early_ns_) + kLeastMargin;
    if (due + late < now) {  // frames went missing: on to the next beat that can still come
      const auto period = static_cast<Ns>(period_ns_);
      due += ((now - due - late) / period + 1) * period;
    }
    return std::max(now, due - early);
  }

 private:
  static constexpr double kPhaseGain = 0.1;
  static constexpr double kPeriodGain = 0.0025;  // phase gain² / 4: critically damped
  static constexpr double kJitterGain = 0.1;
  static constexpr double kSteady = 0.2;  // of the period; with more mean jitter there is no beat to rely on
  static constexpr double kAstray = 0.3;
  static constexpr double kExtremeDecay = 0.9995;  // an arrival
  static constexpr double kMargin = 1.3;           // on the extremes seen so far
  static constexpr double kFirstExtreme = 0.1;     // of the period, before anything has been seen
  static constexpr Ns kLeastMargin = 250'000;

  void lock(Ns now) noexcept {
    seen_ = 1;
    astray_ = 0;
    next_ = now + static_cast<Ns>(period_ns_);
    early_ns_ = late_ns_ = kFirstExtreme * period_ns_;
  }

  double period_ns_ = 0;
  double jitter_ns_ = 0;  // smoothed absolute error
  double early_ns_ = 0, late_ns_ = 0;
  Ns last_ = kNsNever;
  Ns next_ = 0;
  int seen_ = 0;
  int astray_ = 0;
};

}  // namespace gantry::scheduler
