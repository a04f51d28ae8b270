#pragma once
// Runs the source of CUDA kernels on a CPU: every thread of a block is a fiber, and fibers meet where threads of a
// block or warp do. Blocks follow each other. For the kernels whose logic is worth more than a GPU's say once in a
// while: decode, NMS, letterbox. What it cannot see: memory ordering between blocks, timing, and the GPU's own
// arithmetic (special functions, contraction).
//
// A kernel's file is included behind this header (see detect.cpp beside it) with this folder ahead of src on the
// include path: engine/cuda/kernels/ptx.cuh and launch.hpp are then the ones here. A barrier that some threads never
// reach ends the program and says so.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

namespace gantry::test::simt {

/// Runs `kernel` once for each thread of each block, one block after the other.
void run(dim3 grid, int threads, const std::function<void()>& kernel);

// Of the fiber that runs.
[[nodiscard]] const uint3& thread() noexcept;
[[nodiscard]] const uint3& block() noexcept;

/// Until every thread of the block has come here.
void meet_block();
/// Whether any thread of the block came with true.
[[nodiscard]] bool any_of_block(bool mine);
/// What the lanes in `mask` brought, by lane; all of them come here. Valid until the fiber meets anybody again.
[[nodiscard]] const std::uint64_t* meet_lanes(unsigned mask, std::uint64_t mine);

template <typename T>
T from_lane(unsigned mask, T mine, unsigned lane) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &mine, sizeof mine);
  const std::uint64_t found = meet_lanes(mask, bits)[lane];
  std::memcpy(&mine, &found, sizeof mine);
  return mine;
}
[[nodiscard]] inline unsigned lane() noexcept {
  return thread().x % 32;
}

}  // namespace gantry::test::simt

// CUDA's words, as its host headers leave them.
#undef __global__
#undef __device__
#undef __shared__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (::gantry::test::simt::thread())
#define blockIdx (::gantry::test::simt::block())

using std::max;
using std::min;

inline void __syncthreads() {
  gantry::test::simt::meet_block();
}
inline int __syncthreads_or(int mine) {
  return gantry::test::simt::any_of_block(mine != 0) ? 1 : 0;
}
template <typename T>
T __shfl_sync(unsigned mask, T mine, int lane) {
  return gantry::test::simt::from_lane(mask, mine, static_cast<unsigned>(lane));
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T mine, int bits) {
  return gantry::test::simt::from_lane(mask, mine, gantry::test::simt::lane() ^ static_cast<unsigned>(bits));
}
template <typename T>
T __shfl_up_sync(unsigned mask, T mine, unsigned steps) {
  const unsigned lane = gantry::test::simt::lane();
  return gantry::test::simt::from_lane(mask, mine, lane >= steps ? lane - steps : lane);
}
inline unsigned __ballot_sync(unsigned mask, bool mine) {
  const std::uint64_t* const all = gantry::test::simt::meet_lanes(mask, mine ? 1 : 0);
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1U) != 0 && all[lane] != 0) bits |= 1U << lane;
  return bits;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned mine) {
  const std::uint64_t* const all = gantry::test::simt::meet_lanes(mask, mine);
  unsigned sum = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1U) != 0) sum += static_cast<unsigned>(all[lane]);
  return sum;
}
template <typename T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at = before + value;
  return before;
}

template <typename T>
T __ldg(const T* at) {
  T value;
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(T) != 0) std::abort();  // a GPU faults
  std::memcpy(&value, at, sizeof value);
  return value;
}
inline int __popc(unsigned bits) {
  return std::popcount(bits);
}
inline unsigned __float_as_uint(float v) {
  return std::bit_cast<unsigned>(v);
}
inline float __uint_as_float(unsigned v) {
  return std::bit_cast<float>(v);
}
inline int __float_as_int(float v) {
  return std::bit_cast<int>(v);
}
inline float __int_as_float(int v) {
  return std::bit_cast<float>(v);
}
inline float __expf(float v) {
  return std::exp(v);
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline int __float2int_rd(float v) {
  return static_cast<int>(std::floor(v));
}
inline int __float2int_rn(float v) {
  return static_cast<int>(std::nearbyint(v));
}
inline unsigned __usad(unsigned a, unsigned b, unsigned sum) {
  return (a > b ? a - b : b - a) + sum;
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const std::uint64_t bytes = low | static_cast<std::uint64_t>(high) << 32;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) result |= static_cast<unsigned>(bytes >> (selector >> 4 * i & 7U) * 8 & 0xffU) << 8 * i;
  return result;
}
inline int __vimin_s32_relu(int a, int b) {
  return std::max(0, std::min(a, b));
}
inline unsigned __viaddmin_s16x2(unsigned a, unsigned b, unsigned c) {
  unsigned result = 0;
  for (int i = 0; i < 2; ++i) {
    const auto part = [i](unsigned word) { return static_cast<int>(static_cast<std::int16_t>(word >> 16 * i)); };
    result |= static_cast<unsigned>(static_cast<std::uint16_t>(std::min(part(a) + part(b), part(c)))) << 16 * i;
  }
  return result;
}
inline unsigned __viaddmin_s16x2_relu(unsigned a, unsigned b, unsigned c) {
  unsigned result = __viaddmin_s16x2(a, b, c);
  if ((result & 0x8000U) != 0) result &= 0xffff0000U;
  if ((result & 0x80000000U) != 0) result &= 0xffffU;
  return result;
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {  // exact in double, rounded once
  const auto one = [](__half x, __half y, __half z) {
    return __double2half(static_cast<double>(__half2float(x)) * __half2float(y) + __half2float(z));
  };
  return {one(a.x, b.x, c.x), one(a.y, b.y, c.y)};
}
