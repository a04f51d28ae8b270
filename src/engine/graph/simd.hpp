#pragma once
// Two builds of one loop: for the oldest x86-64 and for AVX2 with FMA, chosen by what the machine has. A GANTRY_INLINE
// body is compiled into a GANTRY_AVX2 wrapper and a plain one.
#include <cstring>

#define GANTRY_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define GANTRY_AVX2 __attribute__((target("avx2,fma")))
#else
#define GANTRY_AVX2
#endif

namespace gantry::graph {

[[nodiscard]] inline bool has_avx2() noexcept {
#if defined(__x86_64__)
  static const bool found = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  return found;
#else
  return false;
#endif
}

/// Eight floats; the compiler splits it where the machine's vectors are narrower.
using Vector8 = float __attribute__((vector_size(32)));
GANTRY_INLINE void load(Vector8& to, const float* from) noexcept {
  std::memcpy(&to, from, sizeof(to));
}

}  // namespace gantry::graph
