#include "gantry/media/rate_limiter.hpp"

#include <cmath>

namespace gantry::media {

void RateLimiter::set_rate(double fps) noexcept {
  if (fps == fps_) return;
  fps_ = fps;
  period_ = fps > 0 ? Duration{std::llround(1e9 / fps)} : Duration::zero();
  started_ = false;
}

bool RateLimiter::admit(Duration pts) noexcept {
  if (period_ == Duration::zero()) return true;
  // A time axis that jumped by more than a period in either direction starts anew, so that nothing is owed or stored
  // up.
  if (!started_ || pts < due_ - 2 * period_ || pts > due_ + period_) {
    started_ = true;
    due_ = pts + period_;
    return true;
  }
  // A time stamp rounded down by a tick of the container must not cost the picture.
  if (pts + period_ / 64 < due_) return false;
  due_ += period_;
  return true;
}

}  // namespace gantry::media
