#pragma once
// The middle of C2PSA's attention in one kernel. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

struct AttentionArgs {
  const __half* qkv = nullptr;  ///< [N,H,W,pitch], heads × (32 q, 32 k, 64 v) channels; 16-byte aligned
  int qkv_pitch = 0;
  __half* out = nullptr;  ///< [N,H,W,pitch], heads × 64 channels
  int out_pitch = 0;
  int n = 0, h = 0, w = 0, heads = 0;
  float scale = 1;                  ///< of q·k
  const float* position = nullptr;  ///< [9][heads · 64], depthwise 3×3 of v
  const float* position_bias = nullptr;
};

inline constexpr int kAttentionKeyDim = 32, kAttentionHeadDim = 64;

/// `split_keys`: a block's four warps share 16 queries and split the keys (small batches) instead of each having 16
/// queries of their own.
cudaError_t launch_attention(const AttentionArgs& args, bool split_keys, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
