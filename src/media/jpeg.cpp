#include "gantry/media/jpeg.hpp"

#include <turbojpeg.h>

#include "gantry/core/expects.hpp"
#include "media/convert.hpp"

namespace gantry::media {

class JpegEncoder::Impl {
 public:
  Impl() : turbo_(tjInitCompress()), view_(av_frame_alloc()) {
    GANTRY_EXPECTS(turbo_ != nullptr, "libjpeg-turbo could not start");
  }
  ~Impl() { tjDestroy(turbo_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> encode(const Image& image, int quality, std::vector<std::uint8_t>& out) {
    GANTRY_EXPECTS(quality >= 1 && quality <= 100, "JPEG quality must lie in 1…100");
    constexpr int kMostSide = 65'500;  // of the JPEG format in libjpeg
    if (image.width < 1 || image.height < 1 || image.width > kMostSide || image.height > kMostSide)
      return fail(ErrorCode::kInvalid, "a JPEG has 1 to 65500 pixels a side, not " + std::to_string(image.width) + "x" +
                                           std::to_string(image.height));
    view(image, *view_);
    AVFrame* from = view_.get();
    const bool direct = image.format == PixelFormat::kI420 && image.matrix == ColorMatrix::kBt601 &&
                        image.range == ColorRange::kFull && image.width % 2 == 0 && image.height % 2 == 0;
    if (!direct) {
      if (!canvas_.resize(image.width, image.height) || !canvas_.fill(*from, AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG))
        return fail(ErrorCode::kExhausted, "no memory to convert a picture for JPEG");
      from = &canvas_.frame();
    }
    // Room for the worst case, so that libjpeg-turbo never has to allocate.
    const std::size_t bound = tjBufSize(image.width, image.height, TJSAMP_420);
    if (out.size() < bound) out.resize(bound);
    const unsigned char* planes[] = {from->data[0], from->data[1], from->data[2]};
    unsigned char* target = out.data();
    unsigned long size = bound;
    if (tjCompressFromYUVPlanes(turbo_, planes, image.width, from->linesize, image.height, TJSAMP_420, &target, &size,
                                quality, TJFLAG_NOREALLOC) != 0)
      return fail(ErrorCode::kInvalid, std::string("JPEG: ") + tjGetErrorStr2(turbo_));
    out.resize(size);
    return {};
  }

 private:
  tjhandle turbo_;
  AvPtr<AVFrame> view_;
  Canvas canvas_;
};

JpegEncoder::JpegEncoder() : impl_(std::make_unique<Impl>()) {}
JpegEncoder::~JpegEncoder() = default;
Result<void> JpegEncoder::encode(const Image& image, int quality, std::vector<std::uint8_t>& out) {
  return impl_->encode(image, quality, out);
}

}  // namespace gantry::media
