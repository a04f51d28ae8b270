#pragma once
// A video with what the detector saw drawn into it. Owned and used by one thread.
#include <memory>
#include <string>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/media/clip_writer.hpp"

namespace gantry::media {

/// The colour in which a class is drawn, 0xRRGGBB; neighbouring ids lie far apart in hue.
[[nodiscard]] std::uint32_t class_color(int class_id) noexcept;

class AnnotatedVideoWriter {
 public:
  /// @param class_names index is class_id; ids beyond it are written as "class N"
  /// @throws MediaError like ClipWriter
  AnnotatedVideoWriter(const std::string& path, std::vector<std::string> class_names, const ClipOptions& options = {});
  ~AnnotatedVideoWriter();
  AnnotatedVideoWriter(const AnnotatedVideoWriter&) = delete;
  AnnotatedVideoWriter& operator=(const AnnotatedVideoWriter&) = delete;

  /// Appends the picture with a box and a label ("car 0.87") a detection. The picture itself is not touched.
  [[nodiscard]] Result<void> write(const Image& image, Duration pts, const Detections& detections);
  [[nodiscard]] Result<void> finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::media
