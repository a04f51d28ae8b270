#include "precision/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::precision {

void Histogram::double_limit() {
  // The middle stays in the middle: new bins of the lower half take pairs that end there, and so does the upper half.
  std::array<std::uint64_t, kBins> wider{};
  for (std::size_t i = 0; i < kBins; ++i) wider[kBins / 4 + i / 2] += counts_[i];
  counts_ = wider;
  limit_ *= 2;
}

void Histogram::grow_to(float magnitude) {
  while (magnitude >= limit_) double_limit();
}

void Histogram::add(std::span<const float> values) {
  if (values.empty()) return;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (total_ == 0) {
    lowest_ = *low;
    highest_ = *high;
  } else {
    lowest_ = std::min(lowest_, *low);
    highest_ = std::max(highest_, *high);
  }
  grow_to(std::max(std::abs(*low), std::abs(*high)));
  const double scale = static_cast<double>(kBins) / (2 * limit_);
  for (const float value : values) {
    const auto bin = static_cast<std::size_t>((static_cast<double>(value) + limit_) * scale);
    ++counts_[std::min(bin, kBins - 1)];
  }
  total_ += values.size();
}

void Histogram::merge(const Histogram& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
    return;
  }
  Histogram scaled = other;
  while (scaled.limit_ < limit_) scaled.double_limit();
  while (limit_ < scaled.limit_) double_limit();
  for (std::size_t i = 0; i < kBins; ++i) counts_[i] += scaled.counts_[i];
  total_ += other.total_;
  lowest_ = std::min(lowest_, other.lowest_);
  highest_ = std::max(highest_, other.highest_);
}

}  // namespace gantry::precision
