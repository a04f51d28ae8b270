#pragma once
// A picture of one camera on its way through Gantry. Move-only: whoever holds the Frame owns it, and it dies exactly
// once (outcome.hpp). Its pixels may be shared read-only (a snapshot, an annotated video) by copying `pixels`.
#include <cstdint>

#include "gantry/core/clock.hpp"
#include "gantry/core/image.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/core/storage.hpp"

namespace gantry {

/// A camera's number while it is known to this process; never reused in one run.
using CameraId = std::uint32_t;

struct Frame {
  Frame() = default;
  Frame(Frame&&) = default;
  Frame& operator=(Frame&&) = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  CameraId camera = 0;
  std::uint64_t seq = 0;    ///< 0, 1, 2, … a camera, counted where the frame is born, gaps included nowhere
  Duration pts{};           ///< the stream's own time stamp, from the stream's start
  TimePoint captured_at{};  ///< when the frame's last packet arrived
  TimePoint deadline{};     ///< a result after this is late
  Priority priority = Priority::kNormal;
  /// Whoever letterboxes it on a card shall say how usable the picture is, since nobody else sees its pixels.
  bool wants_quality = false;
  Image image;        ///< view into `pixels`; on a card its planes are null until map()
  StorageRef pixels;  ///< the lease

  /// Storage::map() on its own picture; nothing to do where it has no Storage.
  Result<void> map(void* stream) { return pixels ? pixels.get()->map(image, stream) : Result<void>{}; }
};

}  // namespace gantry
