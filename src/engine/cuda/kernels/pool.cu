#include "engine/cuda/kernels/pool.hpp"
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr std::size_t kMaxSharedBytes = 227 * 1024;

__device__ __forceinline__ uint4 max_of(uint4 a, uint4 b) {
  uint4 r;
  auto* const x = reinterpret_cast<__half2*>(&a);
  const auto* const y = reinterpret_cast<const __half2*>(&b);
  auto* const z = reinterpret_cast<__half2*>(&r);
#pragma unroll
  for (int i = 0; i < 4; ++i) z[i] = __hmax2(x[i], y[i]);
  return r;
}

/// What: SPPF's three (or more) equal pools in one pass, each as a row pass and a column pass in shared memory
/// In:   f16 [N,H,W,pitch] slice, 16-byte aligned
/// Out:  one slice a stage, which may share the input's buffer but not its channels
/// Launch: grid (channels / 8, N); 256 threads; 2·16·H·W bytes of shared memory; sm_80 and later
/// Bounds: any H, W ≥ 1 that fit; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: exact
/// Roofline: bytes = 2·C·H·W·(1 + stages) an image; at 20×20 bound by latency
/// Rejected: three launches (each reads from L2 what the last one wrote)
__global__ void __launch_bounds__(256) pool_chain_kernel(const __grid_constant__ PoolChainArgs a) {
  extern __shared__ __align__(128) uint4 maps[];
  const int pixels = a.h * a.w, c = static_cast<int>(blockIdx.x) * 8, image = static_cast<int>(blockIdx.y);
  const int reach = a.kernel / 2, tid = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  uint4* const map = maps;
  uint4* const rows = maps + pixels;
  release_successors();
  wait_for_predecessors();
  for (int p = tid; p < pixels; p += threads)
    map[p] = *reinterpret_cast<const uint4*>(a.in + (static_cast<long>(image) * pixels + p) * a.in_pitch + c);
  __syncthreads();
  for (int stage = 0; stage < a.stages; ++stage) {
    for (int p = tid; p < pixels; p += threads) {
      const int x = p % a.w, from = p - min(reach, x), to = p + min(reach, a.w - 1 - x);
      uint4 best = map[from];
      for (int i = from + 1; i <= to; ++i) best = max_of(best, map[i]);
      rows[p] = best;
    }
    __syncthreads();
    for (int p = tid; p < pixels; p += threads) {
      const int y = p / a.w, from = p - min(reach, y) * a.w, to = p + min(reach, a.h - 1 - y) * a.w;
      uint4 best = rows[from];
      for (int i = from + a.w; i <= to; i += a.w) best = max_of(best, rows[i]);
      map[p] = best;
      *reinterpret_cast<uint4*>(a.out[stage] + (static_cast<long>(image) * pixels + p) * a.out_pitch[stage] + c) = best;
    }
    __syncthreads();
  }
}

/// What: one max pool of any window; a thread has eight channels of one output pixel
/// Launch: a thread an output vector; sm_80 and later. Numerics: exact. Stream: as above
__global__ void __launch_bounds__(256) max_pool_kernel(const __grid_constant__ MaxPoolArgs a) {
  release_successors();
  wait_for_predecessors();
  const int vectors = a.channels / 8;
  const long i = static_cast<long>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= static_cast<long>(a.n) * a.oh * a.ow * vectors) return;
  const int c = static_cast<int>(i % vectors) * 8;
  const long pixel = i / vectors;
  const int x = static_cast<int>(pixel % a.ow), y = static_cast<int>(pixel / a.ow % a.oh);
  const long image = pixel / a.ow / a.oh;
  const std::uint32_t lowest = 0xfc00fc00U;  // two FP16 negative infinities
  uint4 best = make_uint4(lowest, lowest, lowest, lowest);
  for (int r = 0; r < a.kernel; ++r)
    for (int s = 0; s < a.kernel; ++s) {
      const int py = y * a.stride - a.pad + r, px = x * a.stride - a.pad + s;
      if (py < 0 || py >= a.h || px < 0 || px >= a.w) continue;
      best = max_of(best, *reinterpret_cast<const uint4*>(a.in + ((image * a.h + py) * a.w + px) * a.in_pitch + c));
    }
  *reinterpret_cast<uint4*>(a.out + pixel * a.out_pitch + c) = best;
}

}  // namespace

bool pool_chain_fits(const PoolChainArgs& args) noexcept {
  return args.channels % 8 == 0 && args.stages <= kMaxPoolStages &&
         static_cast<std::size_t>(args.h) * args.w * 32 <= kMaxSharedBytes;
}

cudaError_t launch_pool_chain(const PoolChainArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  const std::size_t bytes = static_cast<std::size_t>(args.h) * args.w * 32;
  if (const cudaError_t error = allow_shared(pool_chain_kernel, bytes); error != cudaSuccess) return error;
  return launch_grid(pool_chain_kernel, args,
                     dim3(static_cast<unsigned>(args.channels / 8), static_cast<unsigned>(args.n)), 256, bytes, shape,
                     stream);
}

cudaError_t launch_max_pool(const MaxPoolArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  const long vectors = static_cast<long>(args.n) * args.oh * args.ow * (args.channels / 8);
  return launch_grid(max_pool_kernel, args, dim3(static_cast<unsigned>((vectors + 255) / 256)), 256, 0, shape, stream);
}

}  // namespace gantry::cuda
