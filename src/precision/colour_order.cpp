#include "precision/colour_order.hpp"

#include <algorithm>

#include "gantry/engine/sweep.hpp"

namespace gantry::precision {

Greens count_greens(const Samples& samples) {
  constexpr int kStrongest = 4;  // by so much at least: noise and compression colour grey roads a little
  constexpr int kApart = 8;
  std::size_t yellowish = 0;
  std::size_t bluish = 0;
  std::size_t pixels = 0;
  for (const Sample& sample : samples.pictures) {
    const std::size_t area = sample.planes.size() / 3;
    for (std::size_t i = 0; i < area; ++i) {
      const int red = sample.planes[i];
      const int green = sample.planes[area + i];
      const int blue = sample.planes[2 * area + i];
      if (green <= std::max(red, blue) + kStrongest) continue;
      yellowish += red > blue + kApart ? 1 : 0;
      bluish += blue > red + kApart ? 1 : 0;
    }
    pixels += area;
  }
  const auto share = [&](std::size_t count) {
    return pixels == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(pixels);
  };
  return {share(yellowish), share(bluish)};
}

bool looks_swapped(engine::Backend& float_model, const Samples& samples) {
  constexpr std::size_t kEnough = 64;
  constexpr float kConfident = 0.25F;
  constexpr double kClearly = 1.1;
  const std::size_t count = std::min(kEnough, samples.pictures.size());
  const auto seen = [&](bool swapped) {
    engine::SweepOptions options;
    options.detect.confidence = kConfident;
    double sum = 0;
    const auto read = [&](std::size_t i) { return as_frame(samples, i * samples.pictures.size() / count, swapped); };
    for (const auto& picture : engine::sweep(float_model, count, read, options))
      for (const Detection& detection : picture.detections) sum += static_cast<double>(detection.confidence);
    return sum;
  };
  constexpr double kLeastShare = 0.005;  // of the pixels; below, there are no plants
  const Greens greens = count_greens(samples);
  const bool odd_greens = greens.bluish >= kLeastShare && greens.bluish >= 2 * greens.yellowish;
  return seen(true) > (odd_greens ? 1.0 : kClearly) * seen(false);
}

}  // namespace gantry::precision
