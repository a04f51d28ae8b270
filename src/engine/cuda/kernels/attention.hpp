#pragma once
// The middle of C2PSA's attention in one kernel. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

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

/// A block of four warps has `queries` queries: 64, a warp each 16, or 16 that all four share, splitting the keys
/// (small batches).
struct AttentionVariant {
  const char* name;
  int queries;
  std::size_t shared_bytes;
  void (*function)(AttentionArgs);
};
[[nodiscard]] std::span<const AttentionVariant> attention_variants() noexcept;

/// Asynchronous on `stream`.
cudaError_t launch_attention(const AttentionVariant& variant, const AttentionArgs& args, const LaunchShape& shape,
                             cudaStream_t stream);

}  // namespace gantry::cuda
