// What a frame costs outside the network: letterbox by source size and format, decode and NMS.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <vector>

#include "gantry/vision/head.hpp"
#include "gantry/vision/letterbox.hpp"
#include "gantry/vision/nms.hpp"

namespace gantry::vision {
namespace {

struct Source {
  std::vector<std::uint8_t> bytes;
  Image image;
  Source(int width, int height, PixelFormat format) {
    const auto area = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    bytes.resize(area * 3);
    std::mt19937 random(1);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    image.width = width;
    image.height = height;
    image.format = format;
    if (format == PixelFormat::kBgr24) {
      image.planes[0] = {bytes.data(), 3 * width};
    } else {
      image.planes[0] = {bytes.data(), width};
      const bool pairs = format == PixelFormat::kNv12;
      image.planes[1] = {bytes.data() + area, pairs ? width : width / 2};
      image.planes[2] = {bytes.data() + area + area / 4, width / 2};
    }
  }
};

void letterbox(benchmark::State& state, int width, int height, PixelFormat format, Letterboxer::Path path) {
  const Source source(width, height, format);
  const InputSize input = rect_input(width, height, 640, 32);
  const LetterboxGeometry geometry = letterbox_geometry(width, height, input.width, input.height);
  std::vector<float> planes(static_cast<std::size_t>(input.width) * static_cast<std::size_t>(input.height) * 3);
  Letterboxer letterboxer(path);
  letterboxer.run(source.image, geometry, planes.data());
  for (auto _ : state) {
    letterboxer.run(source.image, geometry, planes.data(), true);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
constexpr auto kFast = Letterboxer::Path::kAuto;
constexpr auto kPortable = Letterboxer::Path::kPortable;
BENCHMARK_CAPTURE(letterbox, nv12_1280x720, 1280, 720, PixelFormat::kNv12, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_1280x720, 1280, 720, PixelFormat::kI420, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_1280x720_portable, 1280, 720, PixelFormat::kI420, kPortable)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_1920x1080, 1920, 1080, PixelFormat::kI420, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_3840x2160, 3840, 2160, PixelFormat::kI420, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_768x432, 768, 432, PixelFormat::kI420, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, i420_640x352, 640, 352, PixelFormat::kI420, kFast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(letterbox, bgr_1280x720, 1280, 720, PixelFormat::kBgr24, kFast)->Unit(benchmark::kMicrosecond);

/// Logits of a 640x640 input with 80 classes; about one anchor in `rarity` passes the threshold.
struct Head {
  std::vector<std::vector<float>> maps;
  std::vector<HeadLevel> levels;
  explicit Head(double rarity) {
    std::mt19937 random(2);
    std::normal_distribution<float> noise(0, 1);
    std::uniform_real_distribution<double> chance(0, 1);
    maps.reserve(6);
    for (const int stride : {8, 16, 32}) {
      const int side = 640 / stride;
      const auto area = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
      auto& distances = maps.emplace_back(64 * area);
      for (float& value : distances) value = noise(random);
      auto& scores = maps.emplace_back(80 * area);
      for (float& value : scores) value = noise(random) - 8;
      for (std::size_t i = 0; i < area; ++i) {
        if (chance(random) * rarity < 1) scores[(random() % 80) * area + i] = noise(random) + 1;
      }
      levels.push_back({distances.data(), scores.data(), side, side, stride});
    }
  }
};

void decode_and_nms(benchmark::State& state) {
  const Head head(static_cast<double>(state.range(0)));
  std::vector<Detection> candidates;
  Detections kept;
  Suppressor suppressor;
  for (auto _ : state) {
    candidates.clear();
    decode_maps(head.levels, 80, {0.25F, false}, candidates);
    suppressor.run(candidates, {}, kept);
    benchmark::DoNotOptimize(kept.data());
  }
  state.counters["candidates"] = static_cast<double>(candidates.size());
}
BENCHMARK(decode_and_nms)->Arg(1000)->Arg(100)->Arg(10)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace gantry::vision
