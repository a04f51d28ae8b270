#include "gantry/vision/letterbox.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gantry/core/expects.hpp"
#include "gantry/vision/color.hpp"
#include "vision/resize_tables.hpp"

namespace gantry::vision {
namespace {

/// Python's round(): halves go to the even neighbour, as nearbyint does in the default rounding mode.
int python_round(double value) {
  return static_cast<int>(std::nearbyint(value));
}

}  // namespace

LetterboxGeometry letterbox_geometry(int source_width, int source_height, int input_width, int input_height) {
  GANTRY_EXPECTS(source_width > 0 && source_height > 0 && input_width > 0 && input_height > 0,
                 "every side of a letterbox must be positive");
  LetterboxGeometry g;
  g.source_width = source_width;
  g.source_height = source_height;
  g.input_width = input_width;
  g.input_height = input_height;
  const auto fit = [&](int width, int height) {
    g.scale = std::min(static_cast<double>(height) / source_height, static_cast<double>(width) / source_width);
    g.inner_width = std::max(1, python_round(source_width * g.scale));
    g.inner_height = std::max(1, python_round(source_height * g.scale));
  };
  // A rectangle made by rect_input() was fitted into its square first; rounding there may leave it half a pixel short
  // of the scaled picture, and fitting into the rectangle would then scale differently.
  const int square = std::max(input_width, input_height);
  fit(square, square);
  if (g.inner_width > input_width || g.inner_height > input_height) fit(input_width, input_height);
  g.left = python_round((input_width - g.inner_width) / 2.0 - 0.1);
  g.top = python_round((input_height - g.inner_height) / 2.0 - 0.1);
  return g;
}

InputSize rect_input(int source_width, int source_height, int image_size, int stride) {
  GANTRY_EXPECTS(stride > 0 && image_size >= stride, "the input must be at least one stride wide");
  const LetterboxGeometry square = letterbox_geometry(source_width, source_height, image_size, image_size);
  const auto up = [stride](int side) { return (side + stride - 1) / stride * stride; };
  return {up(square.inner_width), up(square.inner_height)};
}

Box to_source(const LetterboxGeometry& g, const Box& box) noexcept {
  const auto scale = static_cast<float>(g.scale);
  const auto left = static_cast<float>(g.left);
  const auto top = static_cast<float>(g.top);
  const auto width = static_cast<float>(g.source_width);
  const auto height = static_cast<float>(g.source_height);
  return {std::clamp((box.x1 - left) / scale, 0.0F, width), std::clamp((box.y1 - top) / scale, 0.0F, height),
          std::clamp((box.x2 - left) / scale, 0.0F, width), std::clamp((box.y2 - top) / scale, 0.0F, height)};
}

void letterbox_reference(const Image& image, const LetterboxGeometry& g, float* planes) {
  GANTRY_EXPECTS(image.width == g.source_width && image.height == g.source_height,
                 "the geometry is of another picture size");
  std::vector<std::uint8_t> bgr;
  to_bgr(image, bgr);
  const std::size_t area = static_cast<std::size_t>(g.input_width) * static_cast<std::size_t>(g.input_height);
  std::fill_n(planes, 3 * area, static_cast<float>(kPadding) / 255.0F);
  const std::vector<ResizeTap> columns = resize_columns(g.source_width, g.inner_width);
  const std::vector<ResizeTap> rows = resize_rows(g.source_height, g.inner_height);
  for (int y = 0; y < g.inner_height; ++y) {
    const ResizeTap& row = rows[static_cast<std::size_t>(y)];
    for (int x = 0; x < g.inner_width; ++x) {
      const ResizeTap& column = columns[static_cast<std::size_t>(x)];
      const std::size_t target = static_cast<std::size_t>(g.top + y) * static_cast<std::size_t>(g.input_width) +
                                 static_cast<std::size_t>(g.left + x);
      for (int channel = 0; channel < 3; ++channel) {
        const auto across = [&](int source_row) {
          const std::uint8_t* line = bgr.data() + static_cast<std::ptrdiff_t>(source_row) * g.source_width * 3;
          return line[column.first * 3 + channel] * column.weight_first +
                 line[column.second * 3 + channel] * column.weight_second;
        };
        const int value = ((row.weight_first * (across(row.first) >> 4) >> 16) +
                           (row.weight_second * (across(row.second) >> 4) >> 16) + 2) >>
                          2;
        planes[static_cast<std::size_t>(2 - channel) * area + target] = static_cast<float>(value) / 255.0F;
      }
    }
  }
}

}  // namespace gantry::vision
