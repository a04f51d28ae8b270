#pragma once
// Max pools. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

inline constexpr int kMaxPoolStages = 4;

/// SPPF's chain: out[i] = pool(out[i - 1]), out[-1] = in; stride 1, odd kernel, padding never wins.
struct PoolChainArgs {
  const __half* in = nullptr;
  int in_pitch = 0;
  __half* out[kMaxPoolStages] = {};  ///< may lie behind the input in the same buffer
  int out_pitch[kMaxPoolStages] = {};
  int n = 0, h = 0, w = 0, channels = 0;  ///< channels: a multiple of 8
  int kernel = 5, stages = 3;
};
/// Whether a map fits the block's shared memory.
[[nodiscard]] bool pool_chain_fits(const PoolChainArgs& args) noexcept;
cudaError_t launch_pool_chain(const PoolChainArgs& args, const LaunchShape& shape, cudaStream_t stream);

/// One max pool, any kernel, stride and padding.
struct MaxPoolArgs {
  const __half* in = nullptr;
  int in_pitch = 0;
  __half* out = nullptr;
  int out_pitch = 0;
  int n = 0, h = 0, w = 0, oh = 0, ow = 0, channels = 0;
  int kernel = 2, stride = 2, pad = 0;
};
cudaError_t launch_max_pool(const MaxPoolArgs& args, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
