#pragma once
// Hopper's warpgroup matrix product with A in registers: the fragment of A is that of mma.m16n8k16 a warp, so that
// ldmatrix can gather rows from anywhere; B lies in shared memory as 8x8 core matrices. sm_90a only; on other targets
// the functions are empty and the kernels that call them are never chosen.
#include "engine/cuda/kernels/ptx.cuh"
#include "engine/cuda/kernels/wgmma_operands.cuh"

namespace gantry::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GANTRY_HAVE_WGMMA 1
#endif

/// Descriptor of B [N][16] at `address`: [n / 8][k / 8][n % 8][k % 8] halves, that is 128 bytes from one core matrix to
/// the next along k, 256 along n; no swizzle.
__device__ __forceinline__ std::uint64_t core_matrix_descriptor(std::uint32_t address) {
  return static_cast<std::uint64_t>((address & 0x3ffffU) >> 4) | (std::uint64_t{128 >> 4} << 16) |
         (std::uint64_t{256 >> 4} << 32);
}
/// Orders this warp's register and shared-memory writes before the products that follow.
__device__ __forceinline__ void warpgroup_arrive() {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#endif
}
__device__ __forceinline__ void warpgroup_commit() {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#endif
}
template <int pending>
__device__ __forceinline__ void warpgroup_wait() {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(pending) : "memory");
#endif
}
/// Makes ordinary shared-memory writes of this thread (cp.async too, once waited for) visible to the tensor cores.
__device__ __forceinline__ void publish_to_tensor_cores() {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
}

/// c[NI][4] += a · B, m64 n(8·NI) k16; c is laid out like NI fragments of mma.m16n8k16 a warp.
template <int NI>
__device__ __forceinline__ void wgmma(float (&c)[NI][4], const std::uint32_t (&a)[4], std::uint64_t b);

template <>
__device__ __forceinline__ void wgmma<2>(float (&c)[2][4], const std::uint32_t (&a)[4], std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D8 "}, {%8,%9,%10,%11}, %12, 1, 1, 1, 0;\n"
      : GANTRY_WGMMA_C2
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma<4>(float (&c)[4][4], const std::uint32_t (&a)[4], std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D16 "}, {%16,%17,%18,%19}, %20, 1, 1, 1, 0;\n"
      : GANTRY_WGMMA_C4
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma<8>(float (&c)[8][4], const std::uint32_t (&a)[4], std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 0;\n"
      : GANTRY_WGMMA_C8
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma<10>(float (&c)[10][4], const std::uint32_t (&a)[4], std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n80k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D40 "}, {%40,%41,%42,%43}, %44, 1, 1, 1, 0;\n"
      : GANTRY_WGMMA_C10
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

template <>
__device__ __forceinline__ void wgmma<16>(float (&c)[16][4], const std::uint32_t (&a)[4], std::uint64_t b) {
#if defined(GANTRY_HAVE_WGMMA)
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{" GANTRY_WGMMA_D64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 0;\n"
      : GANTRY_WGMMA_C16
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

}  // namespace gantry::cuda
