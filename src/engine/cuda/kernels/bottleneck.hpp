#pragma once
// A bottleneck in one kernel: 3×3 + SiLU, 3×3 + SiLU, + input. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

struct BottleneckArgs {
  const __half* in = nullptr;
  int in_pitch = 0;
  __half* out = nullptr;
  int out_pitch = 0;
  int n = 0, h = 0, w = 0;
  int add = 0;                       ///< the residual
  const __half* weights1 = nullptr;  ///< pack_conv_weights(…, bn = variant.mid, variant.group1), first c/16 rows used
  const __half* weights2 = nullptr;  ///< pack_conv_weights(…, bn = variant.channels, variant.group2)
  const float* bias1 = nullptr;      ///< [mid], zeros where the layer has fewer channels
  const float* bias2 = nullptr;      ///< [channels]
  int tiles_x = 0, tiles_y = 0, tiles = 0;  // filled by launch_bottleneck
};

struct BottleneckVariant {
  const char* name;
  int channels, mid;  ///< mid is rounded up to 16
  int th, tw, group1, group2, threads;
  std::size_t shared_bytes;
  bool warpgroup;  ///< needs compute capability 9.0; weights as core matrices
  void (*function)(BottleneckArgs);
};

[[nodiscard]] std::span<const BottleneckVariant> bottleneck_variants() noexcept;
cudaError_t launch_bottleneck(const BottleneckVariant& variant, BottleneckArgs args, const LaunchShape& shape,
                              cudaStream_t stream);

}  // namespace gantry::cuda
