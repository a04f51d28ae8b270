#pragma once
// The first convolution: 3×3, stride 2, three input channels. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <vector>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

struct StemArgs {
  const __half* in = nullptr;  ///< [N,H,W,4], the fourth channel finite (its weight is zero); 8-byte aligned
  int n = 0, h = 0, w = 0;
  __half* out = nullptr;  ///< [N,ceil(H/2),ceil(W/2),pitch]; 16-byte aligned
  int oh = 0, ow = 0, out_pitch = 0, cout = 0;
  const __half* weights = nullptr;  ///< packed by pack_stem_weights
  const float* bias = nullptr;      ///< [packed width]
  int silu = 0;
  int tiles_x = 0, tiles_y = 0, tiles = 0;  // filled by launch_stem
};

/// Output channels a block for a layer of `cout` channels: 16, 32 or 64. Also the packing's granule.
[[nodiscard]] int stem_block(int cout) noexcept;
/// Weights [cout][3][3][3] float → [row][cout/16][lane][8]: the reduction of a kernel row is 4 pixels × 4 channels, of
/// which 3 × 3 count.
[[nodiscard]] std::vector<__half> pack_stem_weights(const float* weights, int cout);
cudaError_t launch_stem(StemArgs args, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
