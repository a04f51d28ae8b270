#pragma once
// From a model file to a back end that runs it.
#include <memory>
#include <string>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

enum class Device {
  kAuto,  ///< the fastest that this build and machine have
  kCpu,   ///< OpenVINO
  kCuda,  ///< Gantry's own engine
};

/// What the back end is tuned for.
enum class Mode {
  kThroughput,  ///< most frames a second: several frames at once, few threads each
  kLatency,     ///< soonest answer: one frame at a time, all threads on it
};

struct ModelOptions {
  /// An ONNX file, an OpenVINO .xml, or the folder that Ultralytics exports for OpenVINO.
  std::string path;
  Device device = Device::kAuto;
  int device_index = 0;  ///< which GPU
  /// 0 x 0 is `imgsz auto`: each picture's own rectangle where the model allows it, otherwise the exported size.
  InputShape input;
  Mode mode = Mode::kThroughput;
  int threads = 0;  ///< CPU threads, 0: one a core
  /// On a GPU prepare() returns with untuned kernels where no plan file knows better, and tunes behind; with this it
  /// returns tuned.
  bool wait_for_tuning = false;
  /// Batches that a GPU works on side by side, each on a stream of its own with its own graphs: 1…8. While one
  /// computes, the pictures of the next are fetched from the decoders.
  int streams = 4;
  /// Share of a GPU's memory, in use by all programs together, beyond which prepare() is refused; above 0, up to 1.
  double memory_fraction = 0.8;
};

/// GPUs that this build can use; 0 without a driver.
[[nodiscard]] int gpu_count() noexcept;

/// Reads the model and makes it ready to prepare() shapes; compiles nothing yet.
/// @throws ModelError for a file that is missing, truncated, or no YOLO detector: the message says what was expected,
///         what was found and what to type. DeviceError for a device that is not there.
[[nodiscard]] std::unique_ptr<Backend> make_backend(const ModelOptions& options);

}  // namespace gantry::engine
