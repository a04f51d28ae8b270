#pragma once
// Stands for the kernels' ptx.cuh where their source runs on a CPU; see simt.hpp.
#include "cuda/simt/simt.hpp"

namespace gantry::cuda {

using half = __half;

inline void wait_for_predecessors() {}
inline void release_successors() {}

inline float2 unpack_half2(std::uint32_t bits) {
  const auto value = [](std::uint32_t half_bits) {
    return __half2float(__half(__half_raw{static_cast<unsigned short>(half_bits)}));
  };
  return {value(bits & 0xffffU), value(bits >> 16)};
}

}  // namespace gantry::cuda
