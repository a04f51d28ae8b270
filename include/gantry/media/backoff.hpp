#pragma once
// How long to wait before the next attempt: exponential, with jitter, so that cameras of one dead switch don't come
// back in step. Pure numbers; owned by one thread.
#include <cstdint>
#include <random>

#include "gantry/core/clock.hpp"

namespace gantry::media {

struct BackoffOptions {
  Duration first = std::chrono::milliseconds(500);  ///< longest wait after the first failure, > 0
  Duration most = std::chrono::seconds(30);         ///< longest wait of all, >= first
};

/// The n-th wait (n = 0, 1, …) lies evenly in (period / 2, period] with period = min(most, first * 2^n).
class Backoff {
 public:
  /// @throws PreconditionError where the options are out of range
  Backoff(const BackoffOptions& options, std::uint64_t seed);
  [[nodiscard]] Duration next();
  /// A wait of the longest period, for faults that do not pass by themselves.
  [[nodiscard]] Duration longest();
  /// The next failure is a first one again.
  void reset() noexcept { period_ = options_.first; }

 private:
  Duration jittered(Duration period);
  BackoffOptions options_;
  Duration period_;
  std::mt19937_64 random_;
};

}  // namespace gantry::media
