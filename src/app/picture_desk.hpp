#pragma once
// Where pictures that are no camera's enter the scheduler, and where their answers come back.
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "gantry/app/system.hpp"

namespace gantry::app {

/// Thread-safe.
class PictureDesk {
 public:
  /// The camera that these pictures are of, as the scheduler sees them. Cameras' numbers begin at 1.
  static constexpr CameraId kCamera = 0;

  explicit PictureDesk(scheduler::Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  /// @param shape nothing: none can be had, the picture ends at once
  void submit(PictureRequest&& request, std::optional<scheduler::ShapeId> shape, PictureAnswerFn done);
  /// The end of one of its frames; books it and answers.
  void ended(scheduler::FrameEnd& end);
  [[nodiscard]] FrameCounts books() const noexcept { return ledger_.read(); }

 private:
  [[nodiscard]] std::optional<std::uint64_t> enter(PictureAnswerFn& done);
  [[nodiscard]] PictureAnswerFn leave(std::uint64_t seq);

  scheduler::Dispatcher& dispatcher_;
  FrameLedger ledger_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, PictureAnswerFn> waiting_;
  std::uint64_t next_ = 0;
};

}  // namespace gantry::app
