#pragma once
// Plain kernels for what is rare or small: any convolution, depthwise alone, add, copy. Correct first; YOLO11's hot
// path uses none of them but the depthwise one where the fused pair does not fit. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

/// Any square kernel, stride, padding; groups 1 or channels (depthwise). One thread an output element.
struct PlainConvArgs {
  const __half* in = nullptr;
  int in_pitch = 0;
  int n = 0, h = 0, w = 0, cin = 0;
  __half* out = nullptr;
  int out_pitch = 0, oh = 0, ow = 0, cout = 0;
  const float* weights = nullptr;  ///< [cout][k][k][cin], depthwise [k][k][cout]
  const float* bias = nullptr;     ///< [cout]
  const __half* residual = nullptr;
  int residual_pitch = 0;
  int kernel = 1, stride = 1, pad = 0, silu = 0, depthwise = 0;
};
cudaError_t launch_plain_conv(const PlainConvArgs& args, const LaunchShape& shape, cudaStream_t stream);

/// The depthwise 3×3 among them, eight channels a thread.
[[nodiscard]] bool depthwise_fits(const PlainConvArgs& args) noexcept;
cudaError_t launch_depthwise(const PlainConvArgs& args, const LaunchShape& shape, cudaStream_t stream);

/// out = a (+ b), nearest-neighbour ×2 of either where its shift is 1.
struct MergeArgs {
  const __half* a = nullptr;
  const __half* b = nullptr;  ///< null: a copy
  int a_pitch = 0, b_pitch = 0, a_shift = 0, b_shift = 0;
  __half* out = nullptr;
  int out_pitch = 0;
  int n = 0, h = 0, w = 0, channels = 0;  ///< of the output
};
cudaError_t launch_merge(const MergeArgs& args, const LaunchShape& shape, cudaStream_t stream);

/// out[pixel][0…4) = in[pixel][0…3), 0: the stem's four-channel picture from a picture of any pitch and type.
struct PackInputArgs {
  const void* in = nullptr;  ///< [N,H,W,pitch] f16, or f32 where `is_float`
  int in_pitch = 3, is_float = 0;
  __half* out = nullptr;
  long pixels = 0;
};
cudaError_t launch_pack_input(const PackInputArgs& args, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
