#pragma once
// Gantry's CUDA engine as a library: an ONNX detector on one GPU, from the network's input to final boxes.
//
//   auto engine = gantry::InferenceEngine::load({.model = "yolo11n.onnx"});
//   engine->prepare({640, 640}, 32);                    // tunes (or reads the plan file), captures graphs
//   std::vector<Detections> boxes = engine->infer_batch({640, 640}, pictures);
//
// A lane is a stream with its own memory and captured graphs; lanes run beside each other. Different lanes may be used
// by different threads; one lane by one thread at a time. prepare() and everything that is not said to run beside lanes
// excludes everything else.
//
// Owner: the engine owns the card's memory, streams and graphs. run() neither allocates nor synchronises.
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"

namespace gantry::graph {
class LayerCheck;
struct LayerError;
enum class CheckMode : int;
}  // namespace gantry::graph

namespace gantry::cuda {

struct EngineOptions {
  std::string model;  ///< an ONNX file
  int device = 0;     ///< which GPU
  int lanes = 1;      ///< batches under way at the same time, at least 1
  /// Where tuned choices are kept, one plan file a model and card; empty: tuned for this run only. A plan file beside
  /// the model is read first: that is where `gantry optimize` puts it.
  std::string cache_folder;
  /// prepare() measures what the plan file doesn't know. Otherwise it takes the first variant of each kernel, and
  /// tune() may measure later.
  bool tune = true;
  /// Share of the card's memory, in use by all programs together, beyond which prepare() is refused; above 0, up to 1.
  double memory_fraction = 0.8;
};

/// $XDG_CACHE_HOME/gantry or ~/.cache/gantry; empty where neither is known.
[[nodiscard]] std::string default_cache_folder();

/// How tune() gets along with lanes that run.
struct TuneControl {
  std::stop_token stop;  ///< ends tune() within a few measurements; what has been measured is kept
  /// Runs a measurement, or the exchange of graphs, while no lane runs. Empty: no lane runs anyway.
  std::function<void(const std::function<void()>&)> alone;
};

/// Where a prepared network's time goes, an op or a run of fused ops at a time.
struct OpReport {
  std::string name;    ///< ONNX node of the first op
  std::string kernel;  ///< kind, way and variant
  double bytes = 0;    ///< moved at the least, of the batch
  double flops = 0;    ///< of the batch
  double micros = 0;   ///< measured alone; 0 where not tuned
  double floor_micros = 0;
};

struct ProfileReport {
  engine::InputShape shape;
  int batch = 1;
  double milliseconds = 0;         ///< network's input to final boxes, median of replays
  std::size_t arena_bytes = 0;     ///< of the batch
  std::size_t unshared_bytes = 0;  ///< what the maps would need without sharing
  int sub_batch = 0;               ///< images at a time in the early, wide layers; 0: all
  int kernels = 0;
  std::vector<OpReport> ops;
};

class InferenceEngine {
 public:
  /// Reads the model, looks at the card and at the plan file; puts nothing on the card yet.
  /// @throws ModelError, DeviceError: file or device, and what to do
  [[nodiscard]] static std::unique_ptr<InferenceEngine> load(const EngineOptions& options);
  ~InferenceEngine();
  InferenceEngine(const InferenceEngine&) = delete;
  InferenceEngine& operator=(const InferenceEngine&) = delete;

  [[nodiscard]] const engine::ModelInfo& model() const noexcept;
  [[nodiscard]] const std::string& device_name() const noexcept;
  [[nodiscard]] int driver_version() const noexcept;  ///< as CUDA counts: 13000 is 13.0
  [[nodiscard]] int lanes() const noexcept;
  /// Memory of the card that a lane holds for maps and input, by now.
  [[nodiscard]] std::size_t lane_bytes() const noexcept;
  [[nodiscard]] std::string plan_file() const;  ///< where tuned choices go; empty where nowhere

  /// Makes batches of 1, 2, 4, … up to `max_batch` (rounded up to a power of two) runnable at `shape`. Blocks. Where it
  /// throws, what was prepared before still runs.
  /// @throws ModelError where the model can't run that shape, DeviceError where the card is full or fails
  void prepare(engine::InputShape shape, int max_batch);
  [[nodiscard]] bool prepared(engine::InputShape shape, int batch) const noexcept;

  /// Whether every batch up to `max_batch` runs with measured choices.
  [[nodiscard]] bool tuned(engine::InputShape shape, int max_batch) const noexcept;
  /// Measures, on memory of its own, what is not known of a prepared shape, and exchanges the lanes' graphs. Runs
  /// beside lanes where `control.alone` keeps them apart for moments; excludes prepare(). False where stopped.
  /// @throws DeviceError
  bool tune(engine::InputShape shape, int max_batch, const TuneControl& control = {});

  /// Latency of the whole back end as somebody measured it with these tuned choices; kept in the plan file.
  [[nodiscard]] std::optional<engine::Profile> known_latency(engine::InputShape shape, int batch) const;
  void keep_latencies(std::span<const engine::Profile> profiles);

  /// The lane's network input on the card: halves [batch][height][width][4], R, G, B in 0…1 and a fourth, finite value.
  [[nodiscard]] void* input(int lane) const;
  /// The lane's cudaStream_t.
  [[nodiscard]] void* stream(int lane) const;

  /// Starts network, decode and NMS of the first `images` pictures in input(lane) and returns. Results are valid once
  /// the stream has passed this point. `options`: one a picture, or one for all; read before this returns;
  /// `every_class` is not looked at here (see every_class_results).
  /// kDevice where the card has failed; kInvalid where the profile isn't prepared.
  [[nodiscard]] Result<void> run(int lane, engine::InputShape shape, int images,
                                 std::span<const engine::DetectOptions* const> options);
  /// Runs a batch and calls `done` on a thread of the card's driver when the stream has passed it; `done` must neither
  /// block nor call CUDA. The lane takes the next batch once `done` has been called.
  void enqueue(int lane, engine::InputShape shape, int images, std::span<const engine::DetectOptions* const> options,
               std::function<void(Result<void>)> done);
  /// Picture `image` of the lane's last finished run, in pixels of the network's input. `into` keeps its capacity.
  void results(int lane, int image, Detections& into) const;
  /// The same picture with every class of an anchor above the threshold, as models are validated: from the raw maps, on
  /// the host. `images` as in run(). @throws DeviceError
  void every_class_results(int lane, engine::InputShape shape, int images, int image,
                           const engine::DetectOptions& options, Detections& into) const;
  /// Waits for the lane's stream. kDevice where the card has failed.
  [[nodiscard]] Result<void> wait(int lane);

  /// The simple way: host pictures as floats [batch][3][height][width], R, G, B in 0…1, on lane 0; blocks.
  /// @throws DeviceError
  [[nodiscard]] std::vector<Detections> infer_batch(engine::InputShape shape, std::span<const float> pictures,
                                                    const engine::DetectOptions& options = {});
  /// The raw maps of lane 0's last run, for checks: what `tensor` (a head output of the ONNX graph) holds, floats
  /// [batch][height][width][channels]; empty where the plan has no such view.
  [[nodiscard]] std::vector<float> raw_map(engine::InputShape shape, int batch, const std::string& tensor) const;
  /// Runs the prepared profile kernel by kernel on lane 0 and compares every result that reaches memory with the
  /// float32 run, in the plan's order; of a batch, the worst image's. What stays inside a fused kernel is not listed.
  [[nodiscard]] std::vector<graph::LayerError> check_layers(const graph::LayerCheck& reference,
                                                            engine::InputShape shape, std::span<const float> pictures,
                                                            graph::CheckMode mode);

  /// Median milliseconds of a replay on lane 0 and what it is made of.
  [[nodiscard]] ProfileReport benchmark(engine::InputShape shape, int batch, int replays = 100);

 private:
  InferenceEngine();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::cuda

namespace gantry {
using cuda::InferenceEngine;
}
