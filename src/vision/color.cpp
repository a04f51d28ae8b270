#include "gantry/vision/color.hpp"

#include <algorithm>
#include <array>

#include "gantry/core/expects.hpp"

namespace gantry::vision {
namespace {

/// Inverse matrices for limited range, times 65536: V to R, U to B, U to G, V to G.
constexpr std::array<std::array<std::int64_t, 4>, 3> kInverse{{
    {104597, 132201, 25675, 53279},  // BT.601
    {117489, 138438, 13975, 34925},  // BT.709
    {110013, 140363, 12277, 42626},  // BT.2020
}};

std::int16_t rounded(std::int64_t value) {
  return static_cast<std::int16_t>((value + (1 << 15)) >> 16);
}

std::uint8_t clamp_to_byte(int value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
}

}  // namespace

YuvFactors yuv_factors(ColorMatrix matrix, ColorRange range) noexcept {
  auto [v_to_r, u_to_b, u_to_g, v_to_g] = kInverse[static_cast<std::size_t>(matrix)];
  std::int64_t luma = 1 << 16;
  std::int64_t black = 0;
  if (range == ColorRange::kLimited) {
    luma = luma * 255 / 219;
    black = 16 << 16;
  } else {
    v_to_r = v_to_r * 224 / 255;
    u_to_b = u_to_b * 224 / 255;
    u_to_g = u_to_g * 224 / 255;
    v_to_g = v_to_g * 224 / 255;
  }
  YuvFactors factors;
  factors.y_offset = rounded(black * 8);
  factors.y = rounded(luma << 13);
  factors.v_to_r = rounded(v_to_r << 13);
  factors.u_to_b = rounded(u_to_b << 13);
  factors.u_to_g = rounded(-u_to_g * (1 << 13));
  factors.v_to_g = rounded(-v_to_g * (1 << 13));
  return factors;
}

void to_bgr(const Image& image, std::vector<std::uint8_t>& bgr) {
  GANTRY_EXPECTS(image.space != MemorySpace::kDevice,
                 "to_bgr reads host memory: copy the picture off the device first");
  const auto width = static_cast<std::size_t>(image.width);
  const auto height = static_cast<std::size_t>(image.height);
  bgr.resize(width * height * 3);
  const auto& planes = image.planes;
  const YuvFactors f = yuv_factors(image.matrix, image.range);
  for (std::size_t row = 0; row < height; ++row) {
    const auto at = static_cast<std::ptrdiff_t>(row);
    std::uint8_t* out = bgr.data() + row * width * 3;
    const std::uint8_t* first = planes[0].data + at * planes[0].stride_bytes;
    if (image.format == PixelFormat::kBgr24) {
      std::copy_n(first, width * 3, out);
      continue;
    }
    if (image.format == PixelFormat::kRgb24) {
      for (std::size_t x = 0; x < width; ++x) {
        for (std::size_t c = 0; c < 3; ++c) out[3 * x + c] = first[3 * x + 2 - c];
      }
      continue;
    }
    const bool interleaved = image.format == PixelFormat::kNv12;
    const std::uint8_t* u_row = planes[1].data + (at / 2) * planes[1].stride_bytes;
    const std::uint8_t* v_row = interleaved ? u_row + 1 : planes[2].data + (at / 2) * planes[2].stride_bytes;
    const std::size_t step = interleaved ? 2 : 1;
    for (std::size_t x = 0; x < width; ++x) {
      const int y = (8 * first[x] - f.y_offset) * f.y >> 16;
      const int u = 8 * (u_row[x / 2 * step] - 128);
      const int v = 8 * (v_row[x / 2 * step] - 128);
      out[3 * x] = clamp_to_byte(y + (u * f.u_to_b >> 16));
      out[3 * x + 1] = clamp_to_byte(y + (u * f.u_to_g >> 16) + (v * f.v_to_g >> 16));
      out[3 * x + 2] = clamp_to_byte(y + (v * f.v_to_r >> 16));
    }
  }
}

}  // namespace gantry::vision
