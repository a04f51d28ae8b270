#include "gantry/media/backoff.hpp"

#include <algorithm>

#include "gantry/core/expects.hpp"

namespace gantry::media {

Backoff::Backoff(const BackoffOptions& options, std::uint64_t seed)
    : options_(options), period_(options.first), random_(seed) {
  GANTRY_EXPECTS(options.first > Duration::zero(), "back-off: the first wait must be longer than nothing");
  GANTRY_EXPECTS(options.most >= options.first, "back-off: the longest wait must not be shorter than the first");
}

Duration Backoff::next() {
  const Duration period = period_;
  period_ = period_ > options_.most / 2 ? options_.most : period_ * 2;
  return jittered(period);
}

Duration Backoff::longest() {
  return jittered(options_.most);
}

Duration Backoff::jittered(Duration period) {
  // 53 random bits make the same double everywhere, which std::uniform_real_distribution does not promise.
  const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
  return period - std::chrono::duration_cast<Duration>(
                      std::chrono::duration<double, std::nano>(share * static_cast<double>(period.count()) / 2));
}

}  // namespace gantry::media
