#pragma once
// Depthwise 3×3 and the 1×1 behind it in one kernel, optionally with a second 1×1 behind that. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

struct DepthwisePointwiseArgs {
  const __half* in = nullptr;
  int in_pitch = 0;
  int n = 0, h = 0, w = 0, cin = 0;  ///< cin: a multiple of 8
  __half* out = nullptr;
  int out_pitch = 0, cout = 0;
  const __half* depthwise = nullptr;      ///< [9][cin rounded up to 32]
  const float* depthwise_bias = nullptr;  ///< [cin rounded up to 32]
  int depthwise_silu = 0;
  const __half* weights = nullptr;  ///< pack_conv_weights(…, taps = 1, bn = variant.bn, variant.group)
  const float* bias = nullptr;      ///< [bn · columns]
  int silu = 0;
  const __half* tail_weights = nullptr;  ///< null for none; pack_conv_weights(…, taps = 1, bn = 16, group = 16)
  const float* tail_bias = nullptr;      ///< [tail_cout rounded up to 16]
  int tail_cout = 0;                     ///< then `out` is the tail's and cout ≤ bn
  int tiles_x = 0, tiles_y = 0, tiles = 0, chunks = 0;  // filled by launch
};

struct DepthwisePointwiseVariant {
  const char* name;
  int th, tw, bn, group, threads;
  std::size_t fixed_bytes;
  void (*function)(DepthwisePointwiseArgs);
  [[nodiscard]] std::size_t shared_bytes(int cin, int tail_cout) const noexcept;
};

[[nodiscard]] std::span<const DepthwisePointwiseVariant> depthwise_pointwise_variants() noexcept;
[[nodiscard]] bool depthwise_pointwise_fits(const DepthwisePointwiseVariant& variant,
                                            const DepthwisePointwiseArgs& args) noexcept;
cudaError_t launch_depthwise_pointwise(const DepthwisePointwiseVariant& variant, DepthwisePointwiseArgs args,
                                       const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
