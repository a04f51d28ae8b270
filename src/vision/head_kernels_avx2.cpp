// Compiled with -mavx2 where the compiler targets x86-64; only intrinsics and internal functions in here.
#include "vision/head_kernels.hpp"

#if defined(__AVX2__)
#include <immintrin.h>

namespace gantry::vision {
namespace {

void max_over_classes(const float* scores, std::size_t step, int classes, std::size_t count, float* best) {
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const float* row = scores + i;
    __m256 top[4];
    for (int k = 0; k < 4; ++k) top[k] = _mm256_loadu_ps(row + 8 * k);
    for (int c = 1; c < classes; ++c) {
      row += step;
      for (int k = 0; k < 4; ++k) top[k] = _mm256_max_ps(_mm256_loadu_ps(row + 8 * k), top[k]);
    }
    for (int k = 0; k < 4; ++k) _mm256_storeu_ps(best + i + 8 * k, top[k]);
  }
  if (i < count) max_over_classes_portable(scores + i, step, classes, count - i, best + i);
}

}  // namespace

MaxOverClasses max_over_classes_avx2() noexcept {
  return __builtin_cpu_supports("avx2") ? max_over_classes : nullptr;
}

}  // namespace gantry::vision

#else

namespace gantry::vision {
MaxOverClasses max_over_classes_avx2() noexcept {
  return nullptr;
}
}  // namespace gantry::vision

#endif
