#include "vision/resize_tables.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::vision {
namespace {

constexpr float kWeightOne = 2048;

std::vector<ResizeTap> taps(int source, int target, bool edge_takes_all) {
  std::vector<ResizeTap> result(static_cast<std::size_t>(target));
  // The reciprocal of the reciprocal, and float positions: OpenCV's own roundings.
  const double scale = 1.0 / (static_cast<double>(target) / source);
  for (int i = 0; i < target; ++i) {
    auto position = static_cast<float>((i + 0.5) * scale - 0.5);
    int whole = static_cast<int>(std::floor(position));
    float fraction = position - static_cast<float>(whole);
    if (edge_takes_all && (whole < 0 || whole >= source - 1)) {
      fraction = 0;
      whole = std::clamp(whole, 0, source - 1);
    }
    ResizeTap& tap = result[static_cast<std::size_t>(i)];
    tap.first = std::clamp(whole, 0, source - 1);
    tap.second = std::clamp(whole + 1, 0, source - 1);
    tap.weight_first = static_cast<std::int16_t>(std::lrint((1.0F - fraction) * kWeightOne));
    tap.weight_second = static_cast<std::int16_t>(std::lrint(fraction * kWeightOne));
  }
  return result;
}

}  // namespace

std::vector<ResizeTap> resize_columns(int source, int target) {
  return taps(source, target, true);
}
std::vector<ResizeTap> resize_rows(int source, int target) {
  return taps(source, target, false);
}

}  // namespace gantry::vision
