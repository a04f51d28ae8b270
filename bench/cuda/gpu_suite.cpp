// gantry_gpu_suite: checks and times the CUDA engine on this machine's GPU, and prints one table last.
//
//   gantry_gpu_suite --model n=yolo11n.onnx --model s=yolo11s.onnx --model m=yolo11m.onnx --cache tuning --report
//   ops.txt
//
// Time: network input (on the card) to final boxes after NMS, median of graph replays. Bytes and floors are those of
// graph/cost.hpp: every op reads its inputs once and writes its outputs once. Parity: raw maps of the first model
// against a float32 run on the CPU; batch of N against N of one; two runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "engine/cuda/device.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/engine/graph/model.hpp"

namespace {

using gantry::Detections;
using gantry::cuda::InferenceEngine;
using gantry::engine::InputShape;

/// A binary PPM of exactly this size as planes of 0…1, or smooth seeded noise where no picture is given.
std::vector<float> picture(const std::string& path, InputShape shape, unsigned seed) {
  const std::size_t pixels = static_cast<std::size_t>(shape.width) * shape.height;
  std::vector<float> planes(pixels * 3);
  if (!path.empty()) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int width = 0, height = 0, maximum = 0;
    file >> magic >> width >> height >> maximum;
    file.get();
    if (magic == "P6" && width == shape.width && height == shape.height) {
      std::vector<unsigned char> bytes(pixels * 3);
      file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      for (std::size_t p = 0; p < pixels; ++p)
        for (std::size_t c = 0; c < 3; ++c) planes[c * pixels + p] = static_cast<float>(bytes[p * 3 + c]) / 255.0F;
      if (seed != 0) std::reverse(planes.begin(), planes.begin() + static_cast<std::ptrdiff_t>(pixels));
      return planes;
    }
  }
  std::mt19937 engine(seed + 1);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (std::size_t c = 0; c < 3; ++c) {
    std::vector<float> coarse(static_cast<std::size_t>(shape.width / 16 + 2) * (shape.height / 16 + 2));
    for (float& v : coarse) v = uniform(engine);
    for (int y = 0; y < shape.height; ++y)
      for (int x = 0; x < shape.width; ++x)
        planes[c * pixels + static_cast<std::size_t>(y) * shape.width + x] =
            coarse[static_cast<std::size_t>(y / 16) * (shape.width / 16 + 2) + x / 16];
  }
  return planes;
}

struct Failures {
  int count = 0;
  void expect(bool good, const char* what) {
    std::printf("  %-4s %s\n", good ? "ok" : "FAIL", what);
    if (!good) ++count;
  }
};

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

/// Raw maps of one picture against a float32 run: the largest error of a class probability, and of a box side in pixels
/// where a score exceeds 0.25.
void check_parity(InferenceEngine& engine, const std::string& model_path, InputShape shape, const std::string& image,
                  Failures& failures) {
  const auto model = gantry::graph::Model::load(model_path);
  const auto planes = picture(image, shape, 0);
  gantry::graph::Tensor input;
  input.dims = {1, 3, shape.height, shape.width};
  input.values = planes;
  const auto maps = gantry::graph::Interpreter(model.raw_graph(shape)).run(input);
  const std::size_t levels = model.head().levels.size();
  const auto names = model.head().tensors();
  for (const int batch : {1, 4, 32}) {
    std::vector<float> pictures;
    for (int i = 0; i < batch; ++i) pictures.insert(pictures.end(), planes.begin(), planes.end());
    const auto found = engine.infer_batch(shape, pictures);
    double worst_score = 0, worst_box = 0;
    int confident = 0;
    for (std::size_t l = 0; l < levels; ++l) {
      const int stride = model.head().levels[l].stride, w = shape.width / stride, cells = w * (shape.height / stride);
      const auto boxes = engine.raw_map(shape, batch, names[l]),
                 classes = engine.raw_map(shape, batch, names[levels + l]);
      const int bins = model.head().bins, count = model.head().classes;
      // The last picture of the batch: all are the same.
      const std::size_t skip = static_cast<std::size_t>(batch - 1) * static_cast<std::size_t>(cells);
      const auto& want_boxes = maps[l].floats();
      const auto& want_classes = maps[levels + l].floats();
      for (int cell = 0; cell < cells; ++cell) {
        double score = 0;
        for (int c = 0; c < count; ++c) {
          const double got = sigmoid(classes[(skip + static_cast<std::size_t>(cell)) * static_cast<std::size_t>(count) +
                                             static_cast<std::size_t>(c)]);
          const double want = sigmoid(want_classes[static_cast<std::size_t>(c) * static_cast<std::size_t>(cells) +
                                                   static_cast<std::size_t>(cell)]);
          if (!(std::fabs(got - want) <= worst_score)) worst_score = std::fabs(got - want);
          score = std::max(score, want);
        }
        if (score <= 0.25) continue;
        ++confident;
        for (int side = 0; side < 4; ++side) {
          double d[2] = {0, 0};
          for (int which = 0; which < 2; ++which) {
            double total = 0, sum = 0;
            for (int b = 0; b < bins; ++b) {
              const int channel = side * bins + b;
              const double logit =
                  which == 0 ? boxes[(skip + static_cast<std::size_t>(cell)) * static_cast<std::size_t>(4 * bins) +
                                     static_cast<std::size_t>(channel)]
                             : want_boxes[static_cast<std::size_t>(channel) * static_cast<std::size_t>(cells) +
                                          static_cast<std::size_t>(cell)];
              const double e = std::exp(logit);
              total += e, sum += e * b;
            }
            d[which] = sum / total * stride;
          }
          if (!(std::fabs(d[0] - d[1]) <= worst_box)) worst_box = std::fabs(d[0] - d[1]);
        }
      }
    }
    char line[160];
    std::snprintf(line, sizeof line,
                  "batch %d: class probability within %.4f (2e-2), box sides within %.3f px (0.5) at %d confident "
                  "cells, %zu detections",
                  batch, worst_score, worst_box, confident, found[0].size());
    failures.expect(worst_score <= 2e-2 && worst_box <= 0.5, line);
  }
}

bool same(const Detections& a, const Detections& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0);
}

/// Inside a profile of 8: the same picture at every place and in a fuller or emptier batch gives the same bits.
void check_determinism(InferenceEngine& engine, InputShape shape, const std::string& image, Failures& failures) {
  const auto first = picture(image, shape, 0), second = picture("", shape, 7);
  gantry::engine::DetectOptions options;
  options.confidence = 0.05F;
  std::vector<float> eight, five;
  for (int i = 0; i < 8; ++i)
    eight.insert(eight.end(), (i == 5 ? second : first).begin(), (i == 5 ? second : first).end());
  for (int i = 0; i < 5; ++i)
    five.insert(five.end(), (i == 2 ? second : first).begin(), (i == 2 ? second : first).end());
  const auto a = engine.infer_batch(shape, eight, options), b = engine.infer_batch(shape, five, options);
  const auto c = engine.infer_batch(shape, eight, options);
  bool places = true, runs = true;
  for (std::size_t i = 0; i < 8; ++i) {
    runs = runs && same(a[i], c[i]);
    if (i != 5) places = places && same(a[0], a[i]);
  }
  failures.expect(places && same(a[0], b[0]) && same(a[5], b[2]),
                  "a picture's boxes do not depend on its batch, bit for bit");
  failures.expect(runs, "two runs are bit-equal");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Checks and times Gantry's CUDA engine.");
  std::vector<std::string> models;
  std::string cache, report_path, image;
  std::vector<int> batches{1, 8, 32};
  bool skip_checks = false;
  app.add_option("--model", models, "NAME=FILE.onnx, several times")->required();
  app.add_option("--batches", batches, "batch sizes of the first model")->delimiter(',');
  app.add_option("--cache", cache, "folder of the tuning cache");
  app.add_option("--report", report_path, "file for the table of every op");
  app.add_option("--picture", image, "a binary PPM of 640x640 for the parity check");
  app.add_flag("--no-checks", skip_checks, "time only");
  CLI11_PARSE(app, argc, argv);
  Failures failures;
  std::vector<std::string> table;
  std::FILE* report = report_path.empty() ? nullptr : std::fopen(report_path.c_str(), "w");
  try {
    for (std::size_t m = 0; m < models.size(); ++m) {
      const std::size_t equals = models[m].find('=');
      const std::string name = models[m].substr(0, equals), path = models[m].substr(equals + 1);
      const auto start = std::chrono::steady_clock::now();
      const auto engine =
          InferenceEngine::load({.model = path, .device = 0, .lanes = 1, .cache_folder = cache, .tune = true});
      if (m == 0)
        std::printf("GPU %s, driver API %d.%d\n", engine->device_name().c_str(), engine->driver_version() / 1000,
                    engine->driver_version() % 1000 / 10);
      std::vector<std::pair<InputShape, std::vector<int>>> runs{{{640, 640}, m == 0 ? batches : std::vector<int>{32}}};
      if (m == 0 && !skip_checks) runs.push_back({{640, 384}, {32}});
      double native_rate = 0;
      for (const auto& [shape, sizes] : runs) {
        engine->prepare(shape, m == 0 && shape.height == 640 ? *std::max_element(sizes.begin(), sizes.end()) : 32);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        std::printf("%s at %dx%d ready %.1f s after start\n", name.c_str(), shape.width, shape.height, seconds);
        std::fflush(stdout);
        if (m == 0 && shape.height == 640 && !skip_checks) {
          check_parity(*engine, path, shape, image, failures);
          check_determinism(*engine, shape, image, failures);
        }
        for (const int batch : sizes) {
          // Pictures, not noise: the decoder's and NMS's work depends on what is seen.
          const auto planes = picture(image, shape, 0);
          std::vector<float> pictures;
          for (int i = 0; i < batch; ++i) pictures.insert(pictures.end(), planes.begin(), planes.end());
          const std::size_t seen = engine->infer_batch(shape, pictures)[0].size();
          const auto r = engine->benchmark(shape, batch);
          const double rate = batch / r.milliseconds * 1e3;
          if (shape.height == 640) native_rate = rate;
          char line[200];
          std::snprintf(line, sizeof line,
                        "%-3s %dx%d b%-2d  %8.4f ms  %7.0f img/s  %3d kernels  sub-batch %2d  arena %6.1f MB of %7.1f  "
                        "%3zu boxes%s",
                        name.c_str(), shape.width, shape.height, batch, r.milliseconds, rate, r.kernels, r.sub_batch,
                        static_cast<double>(r.arena_bytes) / 1e6, static_cast<double>(r.unshared_bytes) / 1e6, seen,
                        shape.height == 640 ? "" : (" = " + std::to_string(rate / native_rate) + " x 640x640").c_str());
          table.emplace_back(line);
          if (report == nullptr) continue;
          std::fprintf(report, "%s\n", line);
          double sum = 0;
          for (const auto& op : r.ops) {
            std::fprintf(report, "%9.2f us floor %8.2f  %s | %s\n", op.micros, op.floor_micros, op.name.c_str(),
                         op.kernel.c_str());
            sum += op.micros;
          }
          std::fprintf(report, "%9.2f us sum of kernels alone\n\n", sum);
          std::fflush(report);
        }
      }
    }
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    ++failures.count;
  }
  if (report != nullptr) std::fclose(report);
  std::printf("\n");
  for (const std::string& line : table) std::printf("%s\n", line.c_str());
  std::printf("%s\n", failures.count == 0 ? "all checks passed" : "CHECKS FAILED");
  return failures.count == 0 ? 0 : 1;
}
