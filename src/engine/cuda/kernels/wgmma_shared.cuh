#pragma once
// Hopper's warpgroup matrix product with both operands in shared memory, as bulk tensor copies put them there: rows of
// 128 or 64 bytes, their 16-byte units swizzled. sm_90a only, like wgmma.cuh.
#include "engine/cuda/kernels/wgmma.cuh"

namespace gantry::cuda {

/// Descriptor of rows of kRowBytes (128 or 64) along K at `address`, in groups of eight rows; `group_bytes` from one
/// group to the next. `address` is a multiple of 8·kRowBytes, plus 32 for every 16 elements along K.
template <int kRowBytes>
__device__ __forceinline__ std::uint64_t swizzled_descriptor(std::uint32_t address, int group_bytes) {
  static_assert(kRowBytes == 128 || kRowBytes == 64);
  constexpr std::uint64_t kSwizzle = kRowBytes == 128 ? 1 : 2;
  return static_cast<std::uint64_t>((address & 0x3ffffU) >> 4) | (std::uint64_t{1} << 16) |
         (static_cast<std::uint64_t>(group_bytes >> 4) << 32) | (kSwizzle << 62);
}

/// Keeps the compiler from moving what reads the accumulators before the wait ahead of this.
template <int MI, int NI>
__device__ __forceinline__ void keep_behind_wait(float (&acc)[MI][NI][4]) {
#pragma unroll
  for (int i = 0; i < MI * NI * 4; ++i) asm volatile("" : "+f"(acc[i / (NI * 4)][i / 4 % NI][i % 4])::"memory");
}

/// c[NI][4] += a · B, m64 n(8·NI) k16; c is laid out like NI fragments of mma.m16n8k16
/// a warp.
template <int NI>
__device__ __forceinline__ void wgmma_shared(float (&c)[NI][4], std::uint64_t a, std::uint64_t b);

template <>
__device__ __forceinline__ void wgmma_shared<4>(float (&c)[4][4], std::uint64_t a, std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D16 "}, %16, %17, 1, 1, 1, 0, 0;\n"
      : GANTRY_WGMMA_C4
      : "l"(a), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma_shared<8>(float (&c)[8][4], std::uint64_t a, std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D32 "}, %32, %33, 1, 1, 1, 0, 0;\n"
      : GANTRY_WGMMA_C8
      : "l"(a), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma_shared<16>(float (&c)[16][4], std::uint64_t a, std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D64 "}, %64, %65, 1, 1, 1, 0, 0;\n"
      : GANTRY_WGMMA_C16
      : "l"(a), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma_shared<32>(float (&c)[32][4], std::uint64_t a, std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D128 "}, %128, %129, 1, 1, 1, 0, 0;\n"
      : GANTRY_WGMMA_C32
      : "l"(a), "l"(b));
#endif
}

}  // namespace gantry::cuda
