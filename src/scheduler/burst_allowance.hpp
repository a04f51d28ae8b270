#pragma once
// How far a camera may run ahead of its beat: a token bucket that fills with the beat. A stream that was held up (its
// server stopped, its network cut) brings what it missed all at once; without a bound that backlog would stand before
// the frames of every camera that was well all along. Pure numbers.
#include <algorithm>

#include "scheduler/beat.hpp"

namespace gantry::scheduler {

class BurstAllowance {
 public:
  /// Asks for one frame that arrives `now`, before `beat` hears of it. Always granted to a camera without a beat: what
  /// comes at random has no backlog to tell from the rest.
  [[nodiscard]] bool take(const Beat& beat, Ns now) noexcept {
    if (beat.steady()) {
      period_ns_ = beat.period_ns();
      believed_until_ = now + kMemory;
    }
    if (now >= believed_until_) {
      frames_ = kMost;
    } else {
      frames_ = std::min(kMost, frames_ + kRefill * static_cast<double>(now - last_) / period_ns_);
    }
    last_ = now;
    if (frames_ < 1) return false;
    --frames_;
    return true;
  }

 private:
  static constexpr double kMost = 4;            // what jitter of the network may bunch together
  static constexpr double kRefill = 1.5;        // a period, so that a camera is never held to less than its beat
  static constexpr Ns kMemory = 1'000'000'000;  // a burst upsets the beat; so long it is held to the one before

  double period_ns_ = 0;
  double frames_ = kMost;
  Ns last_ = 0;
  Ns believed_until_ = 0;
};

}  // namespace gantry::scheduler
