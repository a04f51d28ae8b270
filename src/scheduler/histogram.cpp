#include "gantry/scheduler/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::scheduler {
namespace {

constexpr double kSmallest = 1e-6;
constexpr double kPerOctave = 4;

/// Bucket i holds values in (upper(i - 1), upper(i)].
double upper(int bucket) {
  return kSmallest * std::exp2(bucket / kPerOctave);
}

int bucket_of(double value) {
  if (!(value > kSmallest)) return 0;
  // The small step down keeps exact bounds in their own bucket in spite of rounding.
  const double position = std::ceil(std::log2(value / kSmallest) * kPerOctave - 1e-9);
  return static_cast<int>(std::clamp(position, 0.0, double{Histogram::kBuckets - 1}));
}

}  // namespace

void Histogram::add(double value) noexcept {
  value = std::max(value, 0.0);
  buckets_[bucket_of(value)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

double Histogram::mean() const noexcept {
  const std::uint64_t n = count();
  return n == 0 ? 0 : sum() / static_cast<double>(n);
}

double Histogram::quantile(double q) const noexcept {
  std::array<std::uint64_t, kBuckets> counts;
  std::uint64_t total = 0;
  for (int i = 0; i < kBuckets; ++i) total += counts[i] = buckets_[i].load(std::memory_order_relaxed);
  if (total == 0) return 0;
  const double target = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
  double seen = 0;
  for (int i = 0; i < kBuckets; ++i) {
    if (counts[i] == 0) continue;
    const auto here = static_cast<double>(counts[i]);
    if (seen + here >= target) {
      const double low = i == 0 ? 0 : upper(i - 1);
      return low + (upper(i) - low) * (target - seen) / here;
    }
    seen += here;
  }
  return upper(kBuckets - 1);
}

std::uint64_t Histogram::count_up_to(double bound) const noexcept {
  std::uint64_t total = 0;
  for (int i = 0; i <= bucket_of(bound); ++i) total += buckets_[i].load(std::memory_order_relaxed);
  return total;
}

}  // namespace gantry::scheduler
