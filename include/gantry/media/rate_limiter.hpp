#pragma once
// Thins out a camera's pictures to a configured rate, on the camera's own time axis. Pure numbers; owned by one thread.
#include "gantry/core/clock.hpp"

namespace gantry::media {

class RateLimiter {
 public:
  /// @param fps pictures a second to let through, 0: all
  void set_rate(double fps) noexcept;
  /// True where the picture with this time stamp is due. Over any stretch the rate let through is `fps`, not the
  /// nearest whole fraction of the camera's own rate.
  [[nodiscard]] bool admit(Duration pts) noexcept;

 private:
  double fps_ = 0;
  Duration period_{};  ///< 0: no limit
  Duration due_{};
  bool started_ = false;
};

}  // namespace gantry::media
