#include "gantry/vision/letterbox_quality.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace gantry::vision {
namespace {

/// Neighbours inside the picture along one axis, counted from the input's edge in runs of `run` pixels.
std::int64_t neighbours(int first, int count, int run) {
  std::int64_t found = 0;
  for (int i = first; i + 1 < first + count; ++i) found += i % run != run - 1 ? 1 : 0;
  return found;
}

}  // namespace

LetterboxQuality letterbox_quality(const QualityTotals& totals, const LetterboxGeometry& g) noexcept {
  const double pixels = static_cast<double>(g.inner_width) * g.inner_height;
  const auto steps = static_cast<double>(neighbours(g.left, g.inner_width, 2) * g.inner_height +
                                         neighbours(g.top, g.inner_height, 4) * g.inner_width);
  const double mean = static_cast<double>(totals.sum) / pixels;
  const double variance = std::max(0.0, static_cast<double>(totals.squares) / pixels - mean * mean);
  return {static_cast<float>(mean / 255), static_cast<float>(std::sqrt(variance) / 255),
          static_cast<float>(static_cast<double>(totals.steps) / std::max(1.0, steps) / 255),
          static_cast<float>(static_cast<double>(totals.covered) / pixels)};
}

QualityTotals letterbox_quality_reference(const float* planes, const LetterboxGeometry& g) {
  const std::size_t area = static_cast<std::size_t>(g.input_width) * static_cast<std::size_t>(g.input_height);
  const auto brightness = [&](int x, int y) {
    const std::size_t at =
        static_cast<std::size_t>(y) * static_cast<std::size_t>(g.input_width) + static_cast<std::size_t>(x);
    const auto byte = [&](std::size_t channel) {
      return static_cast<int>(std::lround(planes[channel * area + at] * 255));
    };
    return (77 * byte(0) + 150 * byte(1) + 29 * byte(2)) >> 8;
  };
  const int right = g.left + g.inner_width, bottom = g.top + g.inner_height;
  QualityTotals totals;
  for (int part_y = 0; part_y < g.input_height; part_y += kQualityRows)
    for (int part_x = 0; part_x < g.input_width; part_x += kQualityColumns) {
      std::uint64_t pixels = 0, step_count = 0;
      QualityTotals part;
      for (int y = std::max(part_y, g.top); y < std::min(part_y + kQualityRows, bottom); ++y)
        for (int x = std::max(part_x, g.left); x < std::min(part_x + kQualityColumns, right); ++x) {
          const int value = brightness(x, y);
          const auto step_to = [&](int other) {
            part.steps += static_cast<std::uint64_t>(std::abs(value - other));
            ++step_count;
          };
          ++pixels;
          part.sum += static_cast<std::uint64_t>(value);
          part.squares += static_cast<std::uint64_t>(value * value);
          if (x % 2 == 1 && x > g.left) step_to(brightness(x - 1, y));
          if (y % 4 != 0 && y > g.top) step_to(brightness(x, y - 1));
        }
      totals.sum += part.sum, totals.squares += part.squares, totals.steps += part.steps;
      if (pixels > 0 && quality_covered(pixels, part.sum, part.squares, part.steps, step_count))
        totals.covered += pixels;
    }
  return totals;
}

}  // namespace gantry::vision
