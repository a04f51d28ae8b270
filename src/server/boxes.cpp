#include "server/boxes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gantry::server {
namespace {

struct Layout {
  int planes = 1;
  int bytes[3] = {0, 0, 0};  ///< of a row
  int rows[3] = {0, 0, 0};
};

Layout layout_of(const Image& image) {
  const int half_width = (image.width + 1) / 2;
  const int half_height = (image.height + 1) / 2;
  switch (image.format) {
    case PixelFormat::kNv12:
      return {2, {image.width, half_width * 2, 0}, {image.height, half_height, 0}};
    case PixelFormat::kI420:
      return {3, {image.width, half_width, half_width}, {image.height, half_height, half_height}};
    case PixelFormat::kBgr24:
    case PixelFormat::kRgb24:
      break;
  }
  return {1, {image.width * 3, 0, 0}, {image.height, 0, 0}};
}

std::uint8_t* row(const Image& image, int plane, int y) {
  // The planes of a painted picture are this class's own buffer.
  return const_cast<std::uint8_t*>(image.planes[static_cast<std::size_t>(plane)].data) +  // NOLINT
         y * image.planes[static_cast<std::size_t>(plane)].stride_bytes;
}

int clamped(float value, int high) {
  return std::isfinite(value) ? static_cast<int>(std::clamp(value, 0.0F, static_cast<float>(high))) : 0;
}

}  // namespace

Image BoxPainter::paint(const Image& image, const Detections& detections) {
  const Layout layout = layout_of(image);
  std::size_t total = 0;
  for (int p = 0; p < layout.planes; ++p)
    total += static_cast<std::size_t>(layout.bytes[p]) * static_cast<std::size_t>(layout.rows[p]);
  pixels_.resize(total);
  Image out = image;
  std::uint8_t* to = pixels_.data();
  for (int p = 0; p < layout.planes; ++p) {
    const auto bytes = static_cast<std::size_t>(layout.bytes[p]);
    const Plane& from = image.planes[static_cast<std::size_t>(p)];
    out.planes[static_cast<std::size_t>(p)] = {to, layout.bytes[p]};
    for (int y = 0; y < layout.rows[p]; ++y, to += bytes) std::memcpy(to, from.data + y * from.stride_bytes, bytes);
  }
  const int line = std::max(2, std::min(image.width, image.height) / 240);
  // The most confident come first and are drawn last, on top.
  for (auto it = detections.rbegin(); it != detections.rend(); ++it) frame(out, it->box, line);
  return out;
}

void BoxPainter::frame(const Image& image, const Box& box, int line) {
  const int x1 = clamped(box.x1, image.width);
  const int y1 = clamped(box.y1, image.height);
  const int x2 = clamped(box.x2, image.width);
  const int y2 = clamped(box.y2, image.height);
  fill(image, x1, y1, x2, std::min(y1 + line, y2));
  fill(image, x1, std::max(y2 - line, y1), x2, y2);
  fill(image, x1, y1, std::min(x1 + line, x2), y2);
  fill(image, std::max(x2 - line, x1), y1, x2, y2);
}

void BoxPainter::fill(const Image& image, int x1, int y1, int x2, int y2) {
  // One bright green that stands out from streets at day and at night.
  constexpr std::uint8_t kY = 173, kU = 42, kV = 26;
  constexpr std::uint8_t kRed = 0, kGreen = 230, kBlue = 60;
  for (int y = y1; y < y2; ++y) {
    std::uint8_t* first = row(image, 0, y);
    switch (image.format) {
      case PixelFormat::kBgr24:
      case PixelFormat::kRgb24:
        for (int x = x1; x < x2; ++x) {
          first[3 * x] = image.format == PixelFormat::kBgr24 ? kBlue : kRed;
          first[3 * x + 1] = kGreen;
          first[3 * x + 2] = image.format == PixelFormat::kBgr24 ? kRed : kBlue;
        }
        break;
      case PixelFormat::kNv12:
        std::fill(first + x1, first + x2, kY);
        for (int x = x1 / 2; x < (x2 + 1) / 2; ++x) {
          row(image, 1, y / 2)[2 * x] = kU;
          row(image, 1, y / 2)[2 * x + 1] = kV;
        }
        break;
      case PixelFormat::kI420:
        std::fill(first + x1, first + x2, kY);
        std::fill(row(image, 1, y / 2) + x1 / 2, row(image, 1, y / 2) + (x2 + 1) / 2, kU);
        std::fill(row(image, 2, y / 2) + x1 / 2, row(image, 2, y / 2) + (x2 + 1) / 2, kV);
        break;
    }
  }
}

}  // namespace gantry::server
