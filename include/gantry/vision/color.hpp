#pragma once
// YUV to BGR as FFmpeg's libswscale does it at equal size, which is what OpenCV's video reader, and so every peer that
// reads video through it, hands to a detector: chroma repeated over its 2x2 pixels, 16-bit fixed point.
//
// Owner: none, pure functions. Thread-safe.
#include <cstdint>
#include <vector>

#include "gantry/core/image.hpp"

namespace gantry::vision {

/// Factors of one colour matrix and range, scaled by 2^13; a sample times 8 times a factor, shifted right by 16, is a
/// pixel value. Source: the inverse matrices of ITU-R BT.601, 709 and 2020 as libswscale rounds them.
struct YuvFactors {
  std::int16_t y_offset = 0;  ///< 8 * black level
  std::int16_t y = 0;
  std::int16_t v_to_r = 0;
  std::int16_t u_to_g = 0;  ///< negative
  std::int16_t v_to_g = 0;  ///< negative
  std::int16_t u_to_b = 0;
};

[[nodiscard]] YuvFactors yuv_factors(ColorMatrix matrix, ColorRange range) noexcept;

/// Plain reference. Fills `bgr` with [height][width][3], B first; any PixelFormat.
/// @pre image lies in host memory
void to_bgr(const Image& image, std::vector<std::uint8_t>& bgr);

}  // namespace gantry::vision
