#pragma once
// Runs a Policy for real: one thread, woken by arrivals, by completions and by its own timer, takes one decision at a
// time and starts batches on engine::Backends. It owns every Frame from submit() to its end, and every submitted frame
// ends exactly once through FrameEndFn.
//
// Thread-safety: every public function may be called from any thread, also from inside FrameEndFn, except start, stop
// and the destructor. Nothing here waits for an inference: a frame that expires is dropped on time while a batch runs.
// Allocation: none per frame or batch once warm, beyond what back ends do.
// Bounds: at most `max_frames` frames wait or run; the next one is refused (ended with kShed at once).
// Faults: a back end that throws, reports an error, answers with too few results or does not answer within the
// watchdog's time costs its own batch (kEngineError), is counted, and feeds the device's breaker.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/scheduler/histogram.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

/// A model's number, given by whoever loads models: 0, 1, 2, …
using ModelId = std::uint16_t;

/// How a frame ended. Handed over by reference: take (move) from it what you want to keep.
struct FrameEnd {
  Frame frame;  ///< as submitted; without pixels where a back end kept or lost them
  Outcome outcome = Outcome::kShutdown;
  Detections detections;        ///< of published frames; capacity is reused where it is left behind
  engine::StageTimes times;     ///< of its whole batch; zero for drops
  DeviceId device = kNoDevice;  ///< where it ran
  ShapeId shape = 0;
  int batch_size = 0;  ///< frames of its batch; 0: never started
  TimePoint submitted_at{};
  TimePoint started_at{};  ///< of its batch; meaningless where batch_size is 0
  TimePoint ended_at{};
};
/// Called on the dispatcher's thread (drops) or on a back end's thread (results), several at a time. Must not block or
/// throw.
using FrameEndFn = std::function<void(FrameEnd& end)>;

struct DispatcherConfig {
  std::size_t max_frames = 16384;  ///< that wait or run at one time, 1…2^20
  /// A batch that has not come back after max(watchdog_min, watchdog_factor × predicted latency) is given up.
  Duration watchdog_min = std::chrono::seconds{2};
  double watchdog_factor = 20;  ///< >= 2
};

/// One class's counters since start; also the template for the sum over all.
struct ClassMetrics {
  FrameCounts frames;                            ///< received = submitted here
  const Histogram* queue_wait = nullptr;         ///< seconds from submit to start, of frames that ran
  const Histogram* latency = nullptr;            ///< seconds from captured_at to result
  const Histogram* slack_at_dispatch = nullptr;  ///< seconds from start to deadline
  double late_waste_seconds = 0;  ///< device time spent on results that came late (a batch's time over its size)
};

struct DeviceMetrics {
  std::string name;
  std::uint64_t batches = 0;
  std::uint64_t frames = 0;
  std::uint64_t errors = 0;        ///< batches that failed
  std::uint64_t timeouts = 0;      ///< batches given up by the watchdog
  std::uint64_t late_answers = 0;  ///< answers to batches already given up, or given twice
  double busy_seconds = 0;         ///< summed over batches
  const Histogram* batch_size = nullptr;
  const Histogram* prediction_error = nullptr;  ///< |actual - predicted| / predicted latency, a batch
};

/// A reading; the histograms live as long as the dispatcher.
struct DispatcherMetrics {
  std::array<ClassMetrics, kPriorityCount> classes;
  std::vector<DeviceMetrics> devices;
  std::uint64_t decisions = 0;
  const Histogram* decision_seconds = nullptr;
  std::uint64_t refused = 0;  ///< frames ended at once because max_frames was reached or the dispatcher was stopped
};

class Dispatcher {
 public:
  /// @param policy not null. @param on_end not empty. @param clock outlives the dispatcher; timers follow the steady
  /// clock of the system, so anything else than SteadyClock is for tests of single steps.
  Dispatcher(std::unique_ptr<Policy> policy, FrameEndFn on_end, const Clock& clock, DispatcherConfig config = {});
  /// stop()s.
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // -- devices and shapes
  /// @param name as in metrics, "cuda:0". @return 0, 1, 2, …
  DeviceId add_device(std::string name, int max_batch, int concurrent_batches = 1);
  /// Lets `device` run `model` on `backend` in every shape of backend.profiles(). Call again after backend.prepare() of
  /// another shape. `backend` must stay alive until stop() has returned.
  void set_backend(DeviceId device, ModelId model, engine::Backend& backend);
  /// The id of (model, shape), made at first sight.
  [[nodiscard]] ShapeId shape_id(ModelId model, engine::InputShape shape);
  /// kDraining: finishes and takes nothing new, its cameras move. kUp ends that.
  void set_device_state(DeviceId device, DeviceState state);

  // -- cameras; live
  void set_camera(const CameraSpec& spec);
  /// Its waiting frames end with kCameraRemoved.
  void remove_camera(CameraId camera);
  void boost(CameraId camera, Priority priority, TimePoint until);
  /// Where the camera's frames should be decoded.
  [[nodiscard]] DeviceId home_of(CameraId camera) const;

  // -- frames
  /// Takes the frame of a camera that was added. Never blocks. After stop() frames end with kShutdown at once; frames
  /// of unknown cameras end with kCameraRemoved.
  /// @param options not null, outlives the frame
  void submit(Frame&& frame, ShapeId shape, const engine::DetectOptions* options);

  void start();
  /// Takes no more frames, runs or drops what waits (deadlines bound that), waits for running batches (the watchdog
  /// bounds that), joins the thread. Every frame has ended when it returns. Idempotent.
  void stop();

  void on_memory(DeviceId device, double used);
  [[nodiscard]] DispatcherMetrics metrics() const;
  [[nodiscard]] PolicyReport report() const;
  [[nodiscard]] std::size_t in_flight() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::scheduler
