#pragma once
// The seam to everything that runs a detector. A batch at the seam is a list of leased Frames of one input shape; the
// back end does everything from letterbox to NMS and answers with Detections in source pixels, so that a GPU back end
// never has to leave its card.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/core/result.hpp"
#include "gantry/memory/pool.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::engine {

/// The network's input rectangle in pixels; sides are multiples of the model's stride (32).
struct InputShape {
  int width = 0;
  int height = 0;
  friend bool operator==(const InputShape&, const InputShape&) = default;
  friend auto operator<=>(const InputShape&, const InputShape&) = default;
};

/// Ultralytics' meaning of each. One set a camera; shared by all frames of a batch that carry it.
struct DetectOptions {
  float confidence = 0.25F;  ///< keep scores above this, 0…1
  float iou = 0.7F;          ///< NMS suppresses above this overlap, 0…1
  int max_detections = 300;  ///< a frame, 1…10000
  bool agnostic = false;     ///< NMS across classes
  bool every_class = false;  ///< every class above the threshold, not only an anchor's best (how models are validated)
  std::vector<int> classes;  ///< keep only these class ids; empty keeps all
};

struct ModelInfo {
  std::string name;  ///< from metadata, else the file's name
  std::string path;
  std::string precision;                 ///< "fp32", "fp16", "int8", "fp8"
  std::vector<std::string> class_names;  ///< index is class_id
  int stride = 32;                       ///< pixels
  InputShape native_shape;               ///< the size it was exported for
  bool any_shape = false;                ///< other rectangles may be asked for (`imgsz auto`)
  int max_batch = 1;
};

/// Measured latency of one (input shape, batch size): letterbox to detections, on an idle device.
struct Profile {
  InputShape shape;
  int batch = 1;
  Duration mean{};
  Duration p99{};
};

struct Capabilities {
  std::string device;          ///< "cpu", "cuda:0"
  int concurrent_batches = 1;  ///< how many enqueue() calls make progress at the same time
  int max_batch = 1;
  bool device_frames = false;  ///< takes frames whose pixels lie on `device_index`
  int device_index = -1;
};

/// Where the time of one frame went inside the back end.
struct StageTimes {
  Duration preprocess{};
  Duration inference{};
  Duration postprocess{};
  Duration fetch{};  ///< of `preprocess`: until the card's decoder had handed the pictures over
};

struct BatchEntry {
  Frame frame;                             ///< owned by the back end until `done`, given back there
  const DetectOptions* options = nullptr;  ///< not null; outlives the batch
  Detections detections;                   ///< filled by the back end; capacity is reused
  /// Set by the back end where this frame alone could not be run: how it ends. It has no detections then, whatever the
  /// batch's status.
  std::optional<Outcome> drop;
  /// Of a frame that wants it, from back ends that take frames on a card.
  std::optional<vision::LetterboxQuality> quality;
};

struct Batch {
  std::uint64_t id = 0;  ///< the caller's, handed back untouched
  InputShape shape;
  std::vector<BatchEntry> entries;  ///< 1…max_batch
  StageTimes times;                 ///< filled by the back end, of the batch as a whole
};

/// Called exactly once a batch, on a thread of the back end, with the batch's frames and, unless the status is an
/// error, their detections. Must not block or throw.
using BatchDone = std::function<void(Batch&&, Result<void> status)>;

/// Thread-safe. Destroying a back end waits for batches in flight and answers them.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual const ModelInfo& model() const noexcept = 0;
  [[nodiscard]] virtual Capabilities capabilities() const = 0;
  /// Latencies measured at load (or by measure()); sorted by shape, then batch.
  [[nodiscard]] virtual std::vector<Profile> profiles() const = 0;
  /// Makes `shape` runnable and measures its latency at each batch size up to `max_batch`. Blocks; throws ModelError
  /// where the model cannot run that shape.
  virtual void prepare(InputShape shape, int max_batch) = 0;
  /// The rectangle in which a source picture of this size runs: the native one, or, where any_shape and `imgsz auto`,
  /// the smallest multiple of stride around the letterboxed picture, like Ultralytics' `rect`.
  [[nodiscard]] virtual InputShape shape_for(int width, int height) const = 0;
  /// True once the device is lost for good: every batch is then answered with kDevice at once.
  [[nodiscard]] virtual bool failed() const noexcept { return false; }
  /// Asynchronous; batches may overlap up to capabilities().concurrent_batches, the rest queue inside.
  virtual void enqueue(Batch&& batch, BatchDone done) = 0;
  /// Readings of its pools of memory, for metrics; empty where it has none.
  [[nodiscard]] virtual std::vector<memory::PoolReading> pools() const { return {}; }
};

}  // namespace gantry::engine
