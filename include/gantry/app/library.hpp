#pragma once
// Gantry inside another program: frames in, boxes out, each by its deadline.
//
//   gantry::System system(gantry::engine::make_backend({.path = "yolo11n.onnx"}));
//   system.initialise({.on_answer = [](const gantry::FrameAnswer& answer) { … }});
//   system.process(std::move(frame), camera, gantry::Priority::kUrgent, std::chrono::milliseconds(50));
//   system.shut_down();
//
// The same scheduler that serves live cameras decides what runs when and in which batch. Thread-safe: process() and
// metrics() may be called from any thread between initialise() and shut_down().
#include <array>
#include <functional>
#include <memory>

#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/engine/backend.hpp"

namespace gantry {

/// How one frame ended. Valid during the call only.
struct FrameAnswer {
  CameraId camera = 0;
  std::uint64_t seq = 0;  ///< 0, 1, 2, … a camera, as its frames were given
  Priority priority = Priority::kNormal;
  Outcome outcome = Outcome::kShutdown;
  const Detections* detections = nullptr;  ///< of published frames, in pixels of the frame; empty for drops
  Duration latency{};                      ///< from capture to here
  int batch_size = 0;                      ///< 0: never started
};

struct SystemOptions {
  int max_batch = 32;  ///< frames a batch at most; where the back end is a CPU's, one
  engine::DetectOptions detect;
  /// Called once a frame, on a thread of the back end or the scheduler, several at a time: be quick, never throw.
  std::function<void(const FrameAnswer&)> on_answer;
};

struct LatencyMetrics {
  double p50_ms = 0, p99_ms = 0, p999_ms = 0;  ///< to within 9 %
};
struct SystemMetrics {
  FrameCounts frames;
  std::array<LatencyMetrics, kPriorityCount> latency;  ///< of published frames, capture to answer, by Priority
  double mean_batch = 0;
  std::uint64_t batches = 0;
  double busy = 0;  ///< mean number of batches in the back end since the start
};

class System {
 public:
  /// @pre backend is not null
  explicit System(std::unique_ptr<engine::Backend> backend);
  /// shut_down()s.
  ~System();
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// Once. @throws PreconditionError
  void initialise(SystemOptions options);
  /// Makes pictures of this size runnable; otherwise the first frame of a size waits for that. Blocks. @throws
  /// ModelError
  void prepare(int width, int height);
  /// Takes a frame with its image and pixels; a frame without a capture time is captured now. The answer comes through
  /// on_answer, exactly once, whatever happens. @throws ModelError where the model can't run a picture of that size
  void process(Frame frame, CameraId camera, Priority priority, Duration deadline);
  [[nodiscard]] SystemMetrics metrics() const;
  [[nodiscard]] const engine::Backend& backend() const noexcept;
  /// Every frame given has been answered when it returns. Idempotent.
  void shut_down();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry
