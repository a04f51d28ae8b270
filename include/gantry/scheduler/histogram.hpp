#pragma once
// A histogram of durations or counts with exponential buckets, four to an octave: relative error of a quantile at most
// 9 %. Thread-safe and lock-free; a reading taken while others write may miss the newest few.
#include <array>
#include <atomic>
#include <cstdint>

#include "gantry/core/clock.hpp"

namespace gantry::scheduler {

class Histogram {
 public:
  static constexpr int kBuckets = 120;

  /// @param value >= 0, in whatever unit the owner says; negative counts as 0
  void add(double value) noexcept;
  void add(Duration value) noexcept { add(std::chrono::duration<double>(value).count()); }

  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] double sum() const noexcept { return sum_.load(std::memory_order_relaxed); }
  [[nodiscard]] double mean() const noexcept;
  /// @param q 0…1. @return 0 while empty.
  [[nodiscard]] double quantile(double q) const noexcept;
  /// How many values were at or below `bound`, to within the bucket; for metrics with fixed bounds.
  [[nodiscard]] std::uint64_t count_up_to(double bound) const noexcept;

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<double> sum_{0};
};

}  // namespace gantry::scheduler
