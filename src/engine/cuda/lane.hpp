#pragma once
// A lane: a stream with the memory of one running network and the graphs captured for that memory.
#include <compare>
#include <functional>
#include <map>
#include <span>

#include "engine/cuda/device.hpp"
#include "engine/cuda/steps.hpp"
#include "gantry/core/detection.hpp"
#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"

namespace gantry::cuda {

/// One rectangle and batch size; the batch is a power of two.
struct ProfileKey {
  engine::InputShape shape;
  int batch = 1;
  friend auto operator<=>(const ProfileKey&, const ProfileKey&) = default;
};

/// What a network needs of a lane.
struct LaneSize {
  std::size_t arena_bytes = 0, input_bytes = 0;
  int images = 0;   ///< of a batch
  int anchors = 0;  ///< of a picture
  int classes = 0;
};

/// Used by one thread at a time.
class Lane {
 public:
  Lane() : stream_(make_stream()) {}

  /// Makes room for a network of this size beside what the lane had room for before; graphs are dropped where memory
  /// moves. Where the card is full, everything stays as it was. @throws DeviceError
  void reserve(const LaneSize& size);
  /// What reserve() would add on the card, but for some small buffers.
  [[nodiscard]] std::size_t growth(const LaneSize& size) const noexcept;
  [[nodiscard]] Binding binding(int batch) const;

  /// Puts each picture's thresholds on the card, unless they are there already. `options`: one a picture, or one for
  /// all. Asynchronous on the lane's stream. @throws DeviceError
  void set_limits(int images, std::span<const engine::DetectOptions* const> options);
  /// After kernels ran in any order, as a tuner does: nothing counted, no pictures on the card.
  void reset_counters();
  /// Picture `image` of the last run that the stream has passed. `into` keeps its capacity.
  void results(int image, Detections& into) const;
  /// Host pictures, floats [n][3][pixels], into the network's input; returns when they are there. @throws DeviceError
  void upload_planar(std::span<const float> pictures, std::size_t pixels);

  [[nodiscard]] cudaStream_t stream() const noexcept { return stream_.get(); }
  [[nodiscard]] const DeviceBuffer& arena() const noexcept { return arena_; }
  [[nodiscard]] const DeviceBuffer& input() const noexcept { return input_; }

  std::map<ProfileKey, GraphExec> graphs;
  std::function<void(Result<void>)> done;  ///< who waits for the batch under way

 private:
  Stream stream_;
  DeviceBuffer arena_, input_, keys_, boxes_, ids_, round_, counts_, limits_, masks_;
  PinnedBuffer limits_host_, masks_host_, detections_, detection_counts_;
  LaneSize size_;
  std::size_t mask_words_ = 0;
  int limits_there_ = 0;  ///< pictures whose limits are on the card
};

}  // namespace gantry::cuda
