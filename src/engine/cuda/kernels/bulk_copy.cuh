#pragma once
// Hopper's bulk copies into shared memory and the barriers that say when they are complete. sm_90 and later; on other
// targets the functions are empty and the kernels that call them are never chosen.
#include <cuda.h>

#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

#if __CUDA_ARCH__ >= 900
#define GANTRY_HAVE_BULK_COPY 1
#endif

/// `barrier` is the shared address of 8 aligned bytes; a phase ends after `arrivals` arrivals and all announced bytes.
__device__ __forceinline__ void barrier_init(std::uint32_t barrier, int arrivals) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals) : "memory");
#endif
}
/// Makes initialised barriers known to the copy engine; the block's threads still need a __syncthreads().
__device__ __forceinline__ void barrier_publish() {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
#endif
}
__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(barrier) : "memory");
#endif
}
/// Arrives and announces `bytes` of copies to come.
__device__ __forceinline__ void barrier_expect(std::uint32_t barrier, int bytes) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier), "r"(bytes) : "memory");
#endif
}
/// Waits until the phase of this parity has ended.
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, int parity) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile(
      "{\n.reg .pred p;\n"
      "wait:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
      "@!p bra wait;\n}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
#endif
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) and completes them on `barrier`. One thread.
__device__ __forceinline__ void copy_bulk(std::uint32_t target, const void* source, int bytes, std::uint32_t barrier) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(target),
      "l"(source), "r"(bytes), "r"(barrier)
      : "memory");
#endif
}
/// Copies the box at (c0 … c4) of a tensor of five dimensions; what lies outside is zero. One thread.
__device__ __forceinline__ void copy_box(std::uint32_t target, const CUtensorMap& map, int c0, int c1, int c2, int c3,
                                         int c4, std::uint32_t barrier) {
#if defined(GANTRY_HAVE_BULK_COPY)
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5, %6}], "
      "[%7];\n" ::"r"(target),
      "l"(&map), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "r"(c4), "r"(barrier)
      : "memory");
#endif
}

}  // namespace gantry::cuda
