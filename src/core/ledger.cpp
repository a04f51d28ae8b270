#include <numeric>

#include "gantry/core/outcome.hpp"

namespace gantry {

std::uint64_t FrameCounts::dropped() const noexcept {
  return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0}) - published();
}

FrameCounts& FrameCounts::operator+=(const FrameCounts& other) noexcept {
  received += other.received;
  in_flight += other.in_flight;
  for (int i = 0; i < kOutcomeCount; ++i) outcomes[i] += other.outcomes[i];
  return *this;
}

FrameCounts FrameLedger::read() const noexcept {
  FrameCounts counts;
  // Ends are read before beginnings: a frame whose end is seen here has its beginning seen below, so in_flight can be
  // a little too high for an instant but never negative.
  for (int i = 0; i < kOutcomeCount; ++i) counts.outcomes[i] = outcomes_[i].load(std::memory_order_acquire);
  counts.received = received_.load(std::memory_order_acquire);
  counts.in_flight =
      counts.received - std::accumulate(counts.outcomes.begin(), counts.outcomes.end(), std::uint64_t{0});
  return counts;
}

}  // namespace gantry
