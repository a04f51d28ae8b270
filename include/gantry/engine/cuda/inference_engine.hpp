#pragma once
// Gantry's CUDA engine as a library: an ONNX detector on one GPU, from the network's input to final boxes.
//
//   auto engine = gantry::cuda::InferenceEngine::load({.model = "yolo11n.onnx"});
//   engine->prepare({640, 640}, 32);                    // tunes (or reads the cache), captures graphs
//   std::vector<Detections> boxes = engine->infer_batch({640, 640}, pictures);
//
// A lane is a stream with its own memory and captured graphs; lanes run beside each other. Different lanes may be used
// by different threads; one lane by one thread at a time. prepare() excludes everything else.
//
// Owner: the engine owns the card's memory, streams and graphs. run() neither allocates nor synchronises.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"

namespace gantry::cuda {

struct EngineOptions {
  std::string model;  ///< an ONNX file
  int device = 0;     ///< which GPU
  int lanes = 1;      ///< batches under way at the same time, at least 1
  /// Where tuned choices are kept, one file a model; empty: tuned for this run only.
  std::string cache_folder;
  bool tune = true;  ///< measure what the cache doesn't know; otherwise take the first variant of each kernel
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
  /// Reads the model and looks at the card; puts nothing on it yet.
  /// @throws ModelError, DeviceError: file or device, and what to do
  [[nodiscard]] static std::unique_ptr<InferenceEngine> load(const EngineOptions& options);
  ~InferenceEngine();
  InferenceEngine(const InferenceEngine&) = delete;
  InferenceEngine& operator=(const InferenceEngine&) = delete;

  [[nodiscard]] const engine::ModelInfo& model() const noexcept;
  [[nodiscard]] const std::string& device_name() const noexcept;
  [[nodiscard]] int driver_version() const noexcept;  ///< as CUDA counts: 13000 is 13.0
  [[nodiscard]] int lanes() const noexcept;

  /// Makes batches of 1, 2, 4, … up to `max_batch` (rounded up to a power of two) runnable at `shape`. Blocks.
  /// @throws ModelError where the model can't run that shape, DeviceError where the card is full or fails
  void prepare(engine::InputShape shape, int max_batch);
  [[nodiscard]] bool prepared(engine::InputShape shape, int batch) const noexcept;

  /// The lane's network input on the card: halves [batch][height][width][4], R, G, B in 0…1 and a fourth, finite value.
  [[nodiscard]] void* input(int lane) const;
  /// The lane's cudaStream_t.
  [[nodiscard]] void* stream(int lane) const;

  /// Starts network, decode and NMS of the first `images` pictures in input(lane) and returns. Results are valid once
  /// the stream has passed this point. `options`: one a picture, or one for all; read before this returns.
  /// kDevice where the card has failed; kInvalid where the profile isn't prepared.
  [[nodiscard]] Result<void> run(int lane, engine::InputShape shape, int images,
                                 std::span<const engine::DetectOptions* const> options);
  /// Picture `image` of the lane's last finished run, in pixels of the network's input. `into` keeps its capacity.
  void results(int lane, int image, Detections& into) const;
  /// Waits for the lane's stream. kDevice where the card has failed.
  [[nodiscard]] Result<void> wait(int lane);

  /// The simple way: host pictures as floats [batch][3][height][width], R, G, B in 0…1, on lane 0; blocks.
  /// @throws DeviceError
  [[nodiscard]] std::vector<Detections> infer_batch(engine::InputShape shape, std::span<const float> pictures,
                                                    const engine::DetectOptions& options = {});
  /// The raw maps of lane 0's last run, for checks: what `tensor` (a head output of the ONNX graph) holds, floats
  /// [batch][height][width][channels]; empty where the plan has no such view.
  [[nodiscard]] std::vector<float> raw_map(engine::InputShape shape, int batch, const std::string& tensor) const;

  /// Median milliseconds of a replay on lane 0 and what it is made of.
  [[nodiscard]] ProfileReport benchmark(engine::InputShape shape, int batch, int replays = 100);

 private:
  InferenceEngine();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::cuda
