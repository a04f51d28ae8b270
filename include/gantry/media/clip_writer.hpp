#pragma once
// Pictures to an MP4 file: H.264 where this machine's FFmpeg can encode it (libx264, else OpenH264), MPEG-4 where not.
// Owned and used by one thread.
#include <memory>
#include <string>

#include "gantry/core/clock.hpp"
#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"

namespace gantry::media {

struct ClipOptions {
  double frame_rate = 25;  ///< nominal, for rate control; > 0. Time stamps are written as they are given.
  int time_base_num = 1;   ///< the file's tick in seconds is num / den. StreamInfo's, and a source's time stamps are
  int time_base_den = 90'000;       ///< kept exactly
  int quality = 23;                 ///< libx264's CRF, 0 (lossless)…51; others take the nearest they have
  std::string preset = "veryfast";  ///< libx264's
  Duration key_frame_every = std::chrono::seconds(2);
  int threads = 0;  ///< 0: the encoder decides
};

class ClipWriter {
 public:
  /// Opens the file. The first picture decides the size, the colour matrix and the range.
  /// @throws MediaError where the file can't be written or no encoder is there
  explicit ClipWriter(const std::string& path, const ClipOptions& options = {});
  /// finish(), without its verdict.
  ~ClipWriter();
  ClipWriter(const ClipWriter&) = delete;
  ClipWriter& operator=(const ClipWriter&) = delete;

  /// Appends a picture of any format in host memory. Another size than the first one's is scaled to it; odd sizes gain
  /// a column or row that repeats the last, because 4:2:0 video has none. A time stamp that is not above the last one
  /// goes one tick above it.
  [[nodiscard]] Result<void> write(const Image& image, Duration pts);
  /// Writes what the encoder still holds and the file's index. A clip without pictures leaves no file.
  [[nodiscard]] Result<void> finish();

  /// FFmpeg's name of the encoder in use: "libx264", "libopenh264", "mpeg4".
  [[nodiscard]] const std::string& encoder() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::media
