#pragma once
// Ahead of time what a server would do on first use: measures the kernels of a model on this machine's GPU and writes a
// folder that starts at once and runs tuned.
//
//   const auto report = gantry::optimize({.model = "yolo11n.onnx", .out = "optimized"});
//
// The folder then holds the model, its plan file for this kind of card, and report.json; give the model in it to
// `gantry serve`, to engine::make_backend() or to InferenceEngine::load(). Blocks for some seconds a shape; not to be
// run beside other work on the same card, which would be measured with it.
#include <functional>
#include <string>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry {

/// What the network computes in. Accumulation is in 32 bits.
enum class Precision { kFp16 };
[[nodiscard]] const char* to_string(Precision precision) noexcept;  ///< "fp16"

struct OptimizeOptions {
  std::string model;  ///< an ONNX file
  std::string out;    ///< folder, made where missing
  Precision precision = Precision::kFp16;
  int max_batch = 32;                      ///< 1…64
  std::vector<engine::InputShape> shapes;  ///< empty: as exported, and the rectangle of a 16:9 camera
  int device = 0;                          ///< which GPU
  /// Called with a sentence a step, on the calling thread.
  std::function<void(const std::string&)> progress;
};

struct OptimizedProfile {
  engine::InputShape shape;
  int batch = 1;
  double network_ms = 0;                   ///< network's input on the card to final boxes, median
  double images_per_second = 0;            ///< of the network
  double floor_ms = 0;                     ///< what the card's memory and arithmetic need at the least, op by op
  Duration latency_mean{}, latency_p99{};  ///< of the whole back end, pictures in host memory to final boxes
  double bytes = 0, flops = 0;             ///< of the batch: moved and computed at the least
  std::size_t arena_bytes = 0;             ///< of the batch
  std::size_t unshared_bytes = 0;          ///< what its maps would need without sharing
  int kernels = 0;
};

struct OptimizeReport {
  std::string model;      ///< the model in the folder
  std::string plan_file;  ///< beside it
  std::string device;
  int driver_version = 0;  ///< as CUDA counts: 13000 is 13.0
  Precision precision = Precision::kFp16;
  double seconds = 0;
  std::vector<OptimizedProfile> profiles;  ///< by shape, then batch
};

/// @throws ModelError, DeviceError (no GPU, no CUDA in this build, the card is full), StartupError (the folder)
[[nodiscard]] OptimizeReport optimize(const OptimizeOptions& options);

/// What optimize() writes as report.json.
[[nodiscard]] std::string to_json(const OptimizeReport& report);

}  // namespace gantry
