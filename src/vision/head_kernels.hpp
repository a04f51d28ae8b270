#pragma once
#include <cstddef>

namespace gantry::vision {

/// best[i] = max over c of scores[c * step + i], 0 <= i < count.
using MaxOverClasses = void (*)(const float* scores, std::size_t step, int classes, std::size_t count, float* best);

/// The fastest this processor can run.
[[nodiscard]] MaxOverClasses max_over_classes_kernel() noexcept;
void max_over_classes_portable(const float* scores, std::size_t step, int classes, std::size_t count, float* best);
/// Null where neither the build nor the processor has AVX2.
[[nodiscard]] MaxOverClasses max_over_classes_avx2() noexcept;

}  // namespace gantry::vision
