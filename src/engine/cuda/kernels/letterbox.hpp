#pragma once
// Pictures of any size and format into the network's input, many in one launch. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/kernels/launch.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::cuda {

/// Pictures of one launch; their descriptions travel with it as its arguments.
inline constexpr int kMaxLetterboxPictures = 64;

/// One picture: where it lies on the card, what its colours mean, where it goes.
struct LetterboxPicture {
  const std::uint8_t* planes[3] = {};
  double scale_x = 1, scale_y = 1;  ///< source pixels an inner pixel, as OpenCV rounds it
  std::int32_t strides[3] = {};     ///< bytes
  std::int32_t width = 0, height = 0;
  std::int32_t format = 0;  ///< gantry::PixelFormat
  std::int32_t inner_width = 0, inner_height = 0, left = 0, top = 0;
  std::int16_t y_offset = 0, y = 0, v_to_r = 0, u_to_g = 0, v_to_g = 0, u_to_b = 0;  ///< vision::YuvFactors
  /// NV12 at exactly half its size, rows and left edge aligned for reads of 4 bytes: what a 720p camera needs. See
  /// halves().
  std::int32_t half = 0;
};

/// Whether the kernel's way for exactly half the size runs this picture; its planes, strides and geometry are set.
[[nodiscard]] bool halves(const LetterboxPicture& picture) noexcept;

struct LetterboxArgs {
  LetterboxPicture pictures[kMaxLetterboxPictures];
  __half* out = nullptr;                     ///< [n][height][width][4]; 16-byte aligned
  vision::QualityTotals* quality = nullptr;  ///< [n], device, zero before the launch; null where nobody asks
  int n = 0, width = 0, height = 0;          ///< n: up to kMaxLetterboxPictures; width: even
};

cudaError_t launch_letterbox(const LetterboxArgs& args, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
