#include "gantry/scene/dataset.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "gantry/core/errors.hpp"
#include "gantry/media/jpeg.hpp"
#include "gantry/scene/playback.hpp"
#include "scene/det_math.hpp"

namespace gantry::scene {
namespace {

SceneOptions draw_sitting(std::uint64_t seed, int sitting) {
  Rng rng(mix64(seed) ^ static_cast<std::uint64_t>(sitting) * 0x9E3779B97F4A7C15ULL);
  SceneOptions o;
  const double scene = rng.uniform();
  o.world.scene = scene < 0.5 ? "junction" : scene < 0.8 ? "suburb" : "motorway";
  o.world.seed = rng.bits() >> 12;
  o.world.density = rng.uniform(0.35, 1.25);
  // Mostly day; dusk and night in a quarter of the sittings.
  o.world.hour =
      rng.chance(0.75) ? rng.uniform(7, 18.5) : (rng.chance(0.5) ? rng.uniform(18.5, 23.5) : rng.uniform(5.2, 7));
  o.world.variety = rng.chance(0.8) ? rng.uniform(0.4, 1) : 0;
  const double weather = rng.uniform();
  o.view.weather = weather < 0.5    ? Weather::kClear
                   : weather < 0.75 ? Weather::kOvercast
                   : weather < 0.9  ? Weather::kRain
                                    : Weather::kFog;
  o.view.camera = -1;
  o.view.camera_seed = rng.bits() >> 12;
  constexpr int kSizes[][2] = {{960, 540}, {960, 540}, {1280, 720}, {640, 480}, {800, 600}, {704, 576}};
  const auto& size = kSizes[rng.below(6)];
  o.view.width = size[0];
  o.view.height = size[1];
  o.view.fps = 15;
  return o;
}

/// Which of the visible objects a picture's labels name; the others become regions to ignore. Sides are those of the
/// visible box in a picture scaled to 640 pixels on its longer side, as detectors see it.
struct LabelRule {
  float shorter, longer;
  float occlusion, truncation;
};
/// To learn from: whatever a person would still recognise.
constexpr LabelRule kLearnt{4, 8, 0.75F, 0.85F};
/// To be measured by: nothing tiny, nothing more than half hidden or half outside (as KITTI's "moderate" does).
constexpr LabelRule kScored{6, 20, 0.5F, 0.5F};

bool named(const LabelRule& rule, const ObjectTruth& o, const ViewOptions& view) {
  const float scale = 640.0F / static_cast<float>(std::max(view.width, view.height));
  const float w = o.visible.width() * scale;
  const float h = o.visible.height() * scale;
  return std::min(w, h) >= rule.shorter && std::max(w, h) >= rule.longer && o.occlusion <= rule.occlusion &&
         o.truncation <= rule.truncation;
}

void write_file(const std::filesystem::path& path, const void* data, std::size_t bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  if (!file.flush()) throw MediaError("The file " + path.string() + " can't be written.");
}

}  // namespace

void write_dataset(const std::string& out, const DatasetOptions& options, const std::function<void(int)>& progress) {
  namespace fs = std::filesystem;
  const fs::path root(out);
  for (const char* kind : {"images", "labels", "ignore"}) {
    for (const char* split : {"train", "val"}) {
      std::error_code error;
      fs::create_directories(root / kind / split, error);
      if (error)
        throw MediaError("The folder " + (root / kind / split).string() + " can't be made: " + error.message());
    }
  }
  const int sittings = (options.count + options.per_sitting - 1) / options.per_sitting;
  std::vector<std::string> index(static_cast<std::size_t>(sittings));
  std::atomic<int> next{0};
  std::atomic<int> written{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    media::JpegEncoder encoder;
    std::vector<std::uint8_t> jpeg;
    std::vector<std::uint8_t> pixels;
    for (int sitting = next++; sitting < sittings; sitting = next++) {
      const SceneOptions scene = draw_sitting(options.seed, sitting);
      Rng rng(mix64(options.seed ^ 0xDA7AULL) ^ static_cast<std::uint64_t>(sitting));
      const bool validates = rng.uniform() < options.val_share;
      const char* split = validates ? "val" : "train";
      Playback playback(scene);
      pixels.resize(playback.frame_bytes());
      double at_ms = 0;
      const int frames = std::min(options.per_sitting, options.count - sitting * options.per_sitting);
      for (int k = 0; k < frames; ++k) {
        at_ms += rng.uniform(2500, 6500);
        playback.draw(at_ms, at_ms, static_cast<std::uint64_t>(k), pixels.data());
        char name[64];
        std::snprintf(name, sizeof name, "scene_%llu_%05d_%d", static_cast<unsigned long long>(options.seed), sitting,
                      k);
        if (const auto encoded = encoder.encode(playback.view(pixels.data()), options.quality, jpeg); !encoded) {
          throw MediaError(encoded.error().message);
        }
        write_file(root / "images" / split / (std::string(name) + ".jpg"), jpeg.data(), jpeg.size());
        std::string labels;
        std::string ignore;
        for (const ObjectTruth& o : playback.truth().objects) {
          if (o.visible_px == 0) continue;
          const float w = static_cast<float>(scene.view.width);
          const float h = static_cast<float>(scene.view.height);
          const bool clear = named(validates ? kScored : kLearnt, o, scene.view);
          char line[160];
          const auto cx = static_cast<double>((o.visible.x1 + o.visible.x2) / 2 / w),
                     cy = static_cast<double>((o.visible.y1 + o.visible.y2) / 2 / h);
          const auto bw = static_cast<double>(o.visible.width() / w), bh = static_cast<double>(o.visible.height() / h);
          if (clear) {
            std::snprintf(line, sizeof line, "%d %.6f %.6f %.6f %.6f\n", o.class_id, cx, cy, bw, bh);
            labels += line;
          } else {
            std::snprintf(line, sizeof line, "%.6f %.6f %.6f %.6f\n", cx, cy, bw, bh);
            ignore += line;
          }
        }
        write_file(root / "labels" / split / (std::string(name) + ".txt"), labels.data(), labels.size());
        if (!ignore.empty())
          write_file(root / "ignore" / split / (std::string(name) + ".txt"), ignore.data(), ignore.size());
        index[static_cast<std::size_t>(sitting)] += std::string(",\n\"") + name + "\":{\"split\":\"" + split +
                                                    "\",\"source\":\"scene\",\"camera\":\"" + playback.truth().camera +
                                                    "\",\"labelled_classes\":[0,1,2,3,4,5]}";
        if (progress) progress(++written);
      }
    }
  };
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = sittings;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < options.threads; ++i) threads.emplace_back(guarded);
  guarded();
  for (std::thread& t : threads) t.join();
  if (failure) std::rethrow_exception(failure);
  std::string all = "{";
  for (const std::string& part : index) all += all.size() == 1 && !part.empty() ? part.substr(1) : part;
  all += "\n}\n";
  write_file(root / "per_image.json", all.data(), all.size());
}

}  // namespace gantry::scene
