#pragma once
// Frames to JPEG, for snapshots.
#include <cstdint>
#include <memory>
#include <vector>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"

namespace gantry::media {

/// Encodes through libjpeg-turbo, straight from the planes where they are I420 in JPEG's own colours (BT.601, full
/// range) and otherwise through one conversion to them. Keeps its buffers, so that encoding pictures of one size again
/// and again allocates nothing. Owned and used by one thread.
class JpegEncoder {
 public:
  JpegEncoder();
  ~JpegEncoder();
  JpegEncoder(const JpegEncoder&) = delete;
  JpegEncoder& operator=(const JpegEncoder&) = delete;

  /// Replaces `out` by a baseline 4:2:0 JPEG.
  /// @param image   any format, in host memory, 1…65500 pixels a side
  /// @param quality 1…100
  [[nodiscard]] Result<void> encode(const Image& image, int quality, std::vector<std::uint8_t>& out);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::media
