#include "gantry/vision/quality.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "gantry/core/expects.hpp"

namespace gantry::vision {
namespace {

constexpr int kMostColumns = 160;
constexpr int kMostRows = 90;

/// Brightness of a pixel, 0…255 whatever the range of the format.
class Luma {
 public:
  explicit Luma(const Image& image) : plane_(image.planes[0]), format_(image.format) {
    const bool limited = image.range == ColorRange::kLimited;
    for (int i = 0; i < 256; ++i) {
      const int full = limited ? ((i - 16) * 255 + 109) / 219 : i;
      table_[i] = static_cast<std::uint8_t>(std::clamp(full, 0, 255));
    }
  }
  [[nodiscard]] int at(int x, int y) const {
    const std::uint8_t* row = plane_.data + y * plane_.stride_bytes;
    if (format_ == PixelFormat::kNv12 || format_ == PixelFormat::kI420) return table_[row[x]];
    const std::uint8_t* pixel = row + 3 * x;
    const bool red_first = format_ == PixelFormat::kRgb24;
    const int red = pixel[red_first ? 0 : 2];
    const int blue = pixel[red_first ? 2 : 0];
    return (77 * red + 150 * pixel[1] + 29 * blue) >> 8;  // BT.601
  }

 private:
  Plane plane_;
  PixelFormat format_;
  std::uint8_t table_[256];
};

}  // namespace

Quality QualityMeter::measure(const Image& image, TimePoint at) {
  GANTRY_EXPECTS(image.width > 0 && image.height > 0 && image.space != MemorySpace::kDevice,
                 "QualityMeter reads pictures in host memory");
  const int columns = std::min(image.width, kMostColumns);
  const int rows = std::min(image.height, kMostRows);
  const auto count = static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
  const bool comparable = image.width == width_ && image.height == height_;
  width_ = image.width;
  height_ = image.height;
  samples_.resize(count);

  const Luma luma(image);
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  std::int64_t steps = 0;
  std::int64_t changes = 0;
  for (int row = 0; row < rows; ++row) {
    const int y = static_cast<int>((2 * static_cast<std::int64_t>(row) + 1) * image.height / (2 * rows));
    for (int column = 0; column < columns; ++column) {
      const int x = static_cast<int>((2 * static_cast<std::int64_t>(column) + 1) * image.width / (2 * columns));
      const int value = luma.at(x, y);
      sum += value;
      squares += value * value;
      steps += std::abs(luma.at(std::min(x + 1, image.width - 1), y) - value);
      steps += std::abs(luma.at(x, std::min(y + 1, image.height - 1)) - value);
      std::uint8_t& before = samples_[static_cast<std::size_t>(row * columns + column)];
      changes += std::abs(before - value);
      before = static_cast<std::uint8_t>(value);
    }
  }

  const auto total = static_cast<double>(count);
  const auto fraction = [&](std::int64_t value, double of) {
    return static_cast<float>(static_cast<double>(value) / (total * of));
  };
  Quality quality;
  quality.brightness = fraction(sum, 255);
  const double mean = static_cast<double>(sum) / total;
  quality.contrast =
      static_cast<float>(std::sqrt(std::max(0.0, static_cast<double>(squares) / total - mean * mean)) / 255);
  quality.sharpness = fraction(steps, 2 * 255);
  measured_.reset();
  return judge(quality, !comparable || fraction(changes, 255) >= options_.frozen_difference, at);
}

Quality QualityMeter::measure(const LetterboxQuality& measured, TimePoint at) {
  const bool changed = measured_ != measured;
  measured_ = measured;
  width_ = height_ = 0;  // nothing to compare the next picture in host memory with
  Quality figures;
  figures.brightness = measured.brightness;
  figures.contrast = measured.contrast;
  figures.sharpness = measured.sharpness;
  return judge(figures, changed, at);
}

Quality QualityMeter::judge(Quality figures, bool changed, TimePoint at) {
  figures.covered = figures.contrast < options_.covered_contrast && figures.sharpness < options_.covered_sharpness;
  if (changed) unchanged_since_ = at;
  figures.frozen = at - unchanged_since_ >= options_.frozen_after;
  return figures;
}

}  // namespace gantry::vision
