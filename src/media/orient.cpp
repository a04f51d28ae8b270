#include "media/orient.hpp"

#include <algorithm>
#include <cstring>

namespace gantry::media {
namespace {

template <int kBytes>
void turn_plane_of(const std::uint8_t* from, std::ptrdiff_t from_stride, int width, int height, Orientation orientation,
                   std::uint8_t* to, std::ptrdiff_t to_stride) {
  // A step to the right and a step down in `from`, as offsets in `to`, and where the top left pixel goes.
  const int last_x = width - 1, last_y = height - 1;
  std::ptrdiff_t right = kBytes, down = to_stride, origin = 0;
  switch (orientation.quarter_turns) {
    case 1:  // (x, y) goes to (last_y - y, x)
      right = to_stride, down = -kBytes, origin = std::ptrdiff_t{last_y} * kBytes;
      break;
    case 2:
      right = -kBytes, down = -to_stride, origin = std::ptrdiff_t{last_y} * to_stride + std::ptrdiff_t{last_x} * kBytes;
      break;
    case 3:  // (x, y) goes to (y, last_x - x)
      right = -to_stride, down = kBytes, origin = std::ptrdiff_t{last_x} * to_stride;
      break;
    default:
      break;
  }
  if (orientation.mirror) {
    origin += right * last_x;
    right = -right;
  }
  constexpr int kTile = 32;  // both sides of a quarter turn stay in the first-level cache
  for (int y0 = 0; y0 < height; y0 += kTile)
    for (int x0 = 0; x0 < width; x0 += kTile)
      for (int y = y0; y < std::min(y0 + kTile, height); ++y) {
        const std::uint8_t* source = from + y * from_stride + std::ptrdiff_t{x0} * kBytes;
        std::uint8_t* target = to + origin + y * down + x0 * right;
        for (int x = x0; x < std::min(x0 + kTile, width); ++x, source += kBytes, target += right)
          std::memcpy(target, source, kBytes);
      }
}

}  // namespace

void turn_plane(const std::uint8_t* from, std::ptrdiff_t from_stride, int width, int height, int pixel_bytes,
                Orientation orientation, std::uint8_t* to, std::ptrdiff_t to_stride) {
  switch (pixel_bytes) {
    case 1:
      return turn_plane_of<1>(from, from_stride, width, height, orientation, to, to_stride);
    case 2:
      return turn_plane_of<2>(from, from_stride, width, height, orientation, to, to_stride);
    case 3:
      return turn_plane_of<3>(from, from_stride, width, height, orientation, to, to_stride);
    default:
      return turn_plane_of<4>(from, from_stride, width, height, orientation, to, to_stride);
  }
}

void turn(const AVFrame& from, Orientation orientation, AVFrame& to) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(from.format));
  const int planes = av_pix_fmt_count_planes(static_cast<AVPixelFormat>(from.format));
  for (int i = 0; i < planes; ++i) {
    const int width = i == 0 ? from.width : AV_CEIL_RSHIFT(from.width, format->log2_chroma_w);
    const int height = i == 0 ? from.height : AV_CEIL_RSHIFT(from.height, format->log2_chroma_h);
    int pixel_bytes = 1;
    for (int c = 0; c < format->nb_components; ++c)
      if (format->comp[c].plane == i) pixel_bytes = format->comp[c].step;
    turn_plane(from.data[i], from.linesize[i], width, height, pixel_bytes, orientation, to.data[i], to.linesize[i]);
  }
}

}  // namespace gantry::media
