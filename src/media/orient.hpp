#pragma once
// Turning pictures upright. Internal to the room; plain loops over tiles, because rotated cameras are few.
#include "media/av.hpp"

namespace gantry::media {

/// Writes `from` turned by `orientation` into `to`, whose size is already the turned one and whose format is the same:
/// I420, NV12, BGR24 or RGB24.
void turn(const AVFrame& from, Orientation orientation, AVFrame& to);

/// One plane of `pixel_bytes` (1…4) bytes a pixel, width x height before the turn.
void turn_plane(const std::uint8_t* from, std::ptrdiff_t from_stride, int width, int height, int pixel_bytes,
                Orientation orientation, std::uint8_t* to, std::ptrdiff_t to_stride);

}  // namespace gantry::media
