#pragma once
// Pictures from one pixel format, colour and size into another through swscale. Internal to the room; one thread at a
// time.
#include "media/av.hpp"

namespace gantry::media {

/// What a decoded picture becomes where Gantry has no such format: I420 for Y'CbCr and grey, BGR24 for everything with
/// red, green and blue.
[[nodiscard]] AVPixelFormat nearest_format(const AVFrame& from) noexcept;
/// Gives `to` the matrix and range of `from`, as far as its format has them.
void keep_colour(const AVFrame& from, AVFrame& to) noexcept;
/// An AVFrame that points to the image's pixels and owns nothing. RGB is marked BT.601, the matrix that readers assume
/// who ignore the mark once it has become Y'CbCr. @pre image lies in host memory
void view(const Image& image, AVFrame& frame);

class Converter {
 public:
  /// Fills the buffers of `to`: its format, size, colorspace and color_range say what is wanted.
  /// False where swscale can't.
  [[nodiscard]] bool operator()(const AVFrame& from, AVFrame& to);

 private:
  /// What a context of swscale's was made for.
  struct Side {
    int format = -1, width = 0, height = 0, full = 0;
    const int* matrix = nullptr;
    friend bool operator==(const Side&, const Side&) = default;
  };
  [[nodiscard]] bool prepare(const Side& from, const Side& to);

  AvPtr<SwsContext> context_;
  Side from_, to_;
};

/// A yuv420p picture with even sides that can be filled from anything. Where a side of the wanted size is odd, the last
/// column or row is repeated.
class Canvas {
 public:
  /// @pre width, height >= 1
  [[nodiscard]] bool resize(int width, int height);
  [[nodiscard]] bool fill(const AVFrame& from, AVColorSpace matrix, AVColorRange range);
  [[nodiscard]] AVFrame& frame() noexcept { return *frame_; }

 private:
  AvPtr<AVFrame> frame_{av_frame_alloc()};
  Converter convert_;
  int width_ = 0, height_ = 0;  ///< as wanted
};

}  // namespace gantry::media
