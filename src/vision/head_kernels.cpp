#include "vision/head_kernels.hpp"

#include <algorithm>

namespace gantry::vision {

void max_over_classes_portable(const float* scores, std::size_t step, int classes, std::size_t count, float* best) {
  std::copy_n(scores, count, best);
  for (int c = 1; c < classes; ++c) {
    const float* row = scores + static_cast<std::size_t>(c) * step;
    for (std::size_t i = 0; i < count; ++i) best[i] = row[i] > best[i] ? row[i] : best[i];
  }
}

MaxOverClasses max_over_classes_kernel() noexcept {
  static const MaxOverClasses chosen =
      max_over_classes_avx2() != nullptr ? max_over_classes_avx2() : max_over_classes_portable;
  return chosen;
}

}  // namespace gantry::vision
