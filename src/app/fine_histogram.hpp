#pragma once
// Times of one kind in steps of a twentieth of a millisecond, up to two seconds. Lock-free, but for clear(), which may
// lose what is added meanwhile.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gantry/core/clock.hpp"

namespace gantry::app {

class FineHistogram {
 public:
  void add(Duration time) noexcept {
    const auto step = std::clamp<Duration::rep>(time / kStep, 0, static_cast<Duration::rep>(kSteps) - 1);
    counts_[static_cast<std::size_t>(step)].fetch_add(1, std::memory_order_relaxed);
  }
  void clear() noexcept {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  }
  /// Upper edge of the step in which the quantile lies, milliseconds; 0 where nothing was added.
  [[nodiscard]] double quantile_ms(double q) const noexcept {
    std::uint64_t total = 0;
    for (const auto& count : counts_) total += count.load(std::memory_order_relaxed);
    if (total == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kSteps; ++i) {
      seen += counts_[i].load(std::memory_order_relaxed);
      if (seen >= std::max<std::uint64_t>(1, wanted)) return static_cast<double>(i + 1) * kStepMs;
    }
    return static_cast<double>(kSteps) * kStepMs;
  }

 private:
  static constexpr Duration kStep = std::chrono::microseconds(50);
  static constexpr double kStepMs = 0.05;
  static constexpr std::size_t kSteps = 40'000;
  std::vector<std::atomic<std::uint32_t>> counts_ = std::vector<std::atomic<std::uint32_t>>(kSteps);
};

}  // namespace gantry::app
