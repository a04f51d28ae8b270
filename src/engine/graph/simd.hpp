#pragma once
// Two builds of one plain loop: for the oldest x86-64 and for AVX2 with FMA, chosen once by what the machine has.
// GANTRY_INLINE bodies are compiled into a GANTRY_AVX2 wrapper and a plain one; see dispatch_avx2().
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

}  // namespace gantry::graph
