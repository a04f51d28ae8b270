#pragma once
// What a lane's stream did for one batch, in the card's own time, for core/trace.hpp. Does nothing while nobody traces;
// while somebody does it puts events between the steps, which cost the card a microsecond each.
#include <array>

#include "engine/cuda/device.hpp"
#include "gantry/core/trace.hpp"

namespace gantry::cuda {

/// Used by the lane's thread, with the lane's card current.
class LaneTimeline {
 public:
  /// @param number of the row: device * 16 + lane
  explicit LaneTimeline(std::uint32_t number) : number_(number) {}

  void begin(void* stream, std::size_t frames);
  /// Everything that came onto the stream since the last mark was `name`. At most kSteps a batch.
  void mark(const char* name);
  /// @pre the stream has passed the last mark
  void finish();
  /// The same for what the host did meanwhile: from `begin` to `end`.
  void host(const char* name, TimePoint begin, TimePoint end) const;

 private:
  static constexpr std::size_t kSteps = 4;
  const std::uint32_t number_;
  Trace* trace_ = nullptr;  ///< of the batch under way
  cudaStream_t stream_ = nullptr;
  std::uint32_t frames_ = 0;
  Event base_;  ///< the card's clock and ours met here
  TimePoint base_at_{};
  std::array<Event, kSteps + 1> events_;
  std::array<const char*, kSteps + 1> names_{};
  std::size_t marks_ = 0;
};

}  // namespace gantry::cuda
