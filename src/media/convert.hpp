#pragma once
// Pictures of any pixel format into one that Gantry has, through swscale. Internal to the room; one thread at a time.
#include "media/av.hpp"

namespace gantry::media {

class Converter {
 public:
  /// What `from` becomes: I420 for Y'CbCr and grey, BGR24 for everything with red, green and blue.
  [[nodiscard]] static AVPixelFormat target_of(const AVFrame& from) noexcept;
  /// Fills `to` (its format, same size) and its colour fields. Matrix and range stay those of `from`.
  /// False where swscale can't.
  [[nodiscard]] bool operator()(const AVFrame& from, AVFrame& to);

 private:
  AvPtr<SwsContext> context_;
};

}  // namespace gantry::media
