#pragma once
// A view of pixels: where the planes lie, in which format and colour. Owns nothing.
#include <array>
#include <cstddef>
#include <cstdint>

namespace gantry {

enum class PixelFormat : std::uint8_t {
  kNv12,   ///< plane 0: Y [h][w]; plane 1: UV interleaved [ceil(h/2)][ceil(w/2)*2]
  kI420,   ///< plane 0: Y [h][w]; planes 1, 2: U, V [ceil(h/2)][ceil(w/2)]
  kBgr24,  ///< plane 0: B, G, R bytes [h][w][3]
  kRgb24,  ///< plane 0: R, G, B bytes [h][w][3]
};
enum class ColorMatrix : std::uint8_t { kBt601, kBt709, kBt2020 };
enum class ColorRange : std::uint8_t { kLimited, kFull };
enum class MemorySpace : std::uint8_t { kHost, kPinned, kDevice };

[[nodiscard]] const char* to_string(PixelFormat format) noexcept;

struct Plane {
  const std::uint8_t* data = nullptr;
  std::ptrdiff_t stride_bytes = 0;  ///< from one row to the next; at least the row's bytes
};

struct Image {
  int width = 0;   ///< pixels
  int height = 0;  ///< pixels
  PixelFormat format = PixelFormat::kNv12;
  ColorMatrix matrix = ColorMatrix::kBt601;  ///< of YUV formats; meaningless for RGB
  ColorRange range = ColorRange::kLimited;   ///< of YUV formats
  MemorySpace space = MemorySpace::kHost;
  int device = -1;  ///< GPU index where space is kDevice, otherwise -1
  std::array<Plane, 3> planes{};
};

}  // namespace gantry
