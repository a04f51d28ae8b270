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
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/scheduler/dispatch_core.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

/// A model's number, given by whoever loads models: 0, 1, 2, …
using ModelId = std::uint16_t;

/// How a frame ended. Handed over by reference: take (move) from it what you want to keep.
struct FrameEnd {
  Frame frame;  ///< as submitted; without pixels where a back end kept or lost them
  Outcome outcome = Outcome::kShutdown;
  Detections detections;                            ///< of published frames; capacity is reused where it is left behind
  std::optional<vision::LetterboxQuality> quality;  ///< of published frames that wanted it, where a card said
  engine::StageTimes times;                         ///< of its whole batch; zero for drops
  DeviceId device = kNoDevice;                      ///< where it ran
  ShapeId shape = 0;
  int batch_size = 0;  ///< frames of its batch; 0: never started
  TimePoint submitted_at{};
  TimePoint started_at{};  ///< of its batch; meaningless where batch_size is 0
  TimePoint ended_at{};
};
/// Called on the dispatcher's thread (drops) or on a back end's thread (results), several at a time. Must not block or
/// throw.
using FrameEndFn = std::function<void(FrameEnd& end)>;

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
  /// The input shape of an id that shape_id() gave.
  [[nodiscard]] engine::InputShape input_shape(ShapeId shape) const;
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

  // -- load over the day
  /// What the wall clock says; once a minute is enough.
  void set_wall_time(WallTime wall);
  /// Expected arrivals a second at a time of day; negative: not known yet.
  [[nodiscard]] double demand_at(WallTime wall) const;
  /// The learned time-of-day profile as text, to keep across restarts.
  [[nodiscard]] std::string save_profile() const;
  /// @return kCorrupt with the line's number, and nothing changed, where the text is not such a profile
  [[nodiscard]] Result<void> restore_profile(std::string_view text);

  [[nodiscard]] DispatcherMetrics metrics() const;
  [[nodiscard]] PolicyReport report() const;
  [[nodiscard]] std::size_t in_flight() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::scheduler
