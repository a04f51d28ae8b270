#pragma once
// How often a tensor takes which values. Independent of the order in which values come, so that threads may count apart
// and merge.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gantry::precision {

/// 8,192 equal bins over [-limit, limit); the limit is a power of two that doubles when a value doesn't fit (pairs of
/// bins then become one).
class Histogram {
 public:
  static constexpr std::size_t kBins = 8192;

  void add(std::span<const float> values);
  void merge(const Histogram& other);

  [[nodiscard]] bool empty() const noexcept { return total_ == 0; }
  [[nodiscard]] double limit() const noexcept { return limit_; }
  [[nodiscard]] double bin_width() const noexcept { return 2 * limit_ / static_cast<double>(kBins); }
  /// The value in the middle of a bin.
  [[nodiscard]] double middle(std::size_t bin) const noexcept {
    return (static_cast<double>(bin) + 0.5) * bin_width() - limit_;
  }
  [[nodiscard]] std::uint64_t count(std::size_t bin) const noexcept { return counts_[bin]; }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  [[nodiscard]] float lowest() const noexcept { return lowest_; }
  [[nodiscard]] float highest() const noexcept { return highest_; }

 private:
  void grow_to(float magnitude);
  void double_limit();

  double limit_ = 1.0 / 1024;
  std::array<std::uint64_t, kBins> counts_{};
  std::uint64_t total_ = 0;
  float lowest_ = 0, highest_ = 0;
};

}  // namespace gantry::precision
