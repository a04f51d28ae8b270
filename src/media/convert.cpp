#include "media/convert.hpp"

namespace gantry::media {
namespace {

bool is_rgb(const AVPixFmtDescriptor& format) noexcept {
  return (format.flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER)) != 0;
}

/// swscale takes its matrices by FFmpeg's colour space number.
int swscale_matrix(AVColorSpace space) noexcept {
  switch (matrix_of(space)) {
    case ColorMatrix::kBt709:
      return SWS_CS_ITU709;
    case ColorMatrix::kBt2020:
      return SWS_CS_BT2020;
    default:
      return SWS_CS_ITU601;
  }
}

}  // namespace

AVPixelFormat Converter::target_of(const AVFrame& from) noexcept {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(from.format));
  return format != nullptr && is_rgb(*format) ? AV_PIX_FMT_BGR24 : AV_PIX_FMT_YUV420P;
}

bool Converter::operator()(const AVFrame& from, AVFrame& to) {
  const auto format = static_cast<AVPixelFormat>(from.format);
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(format);
  if (descriptor == nullptr || sws_isSupportedInput(format) == 0) return false;
  context_.reset(sws_getCachedContext(context_.release(), from.width, from.height, format, to.width, to.height,
                                      static_cast<AVPixelFormat>(to.format), SWS_BICUBIC | SWS_ACCURATE_RND, nullptr,
                                      nullptr, nullptr));
  if (context_ == nullptr) return false;
  to.colorspace = from.colorspace;
  to.color_range = AVCOL_RANGE_UNSPECIFIED;
  if (!is_rgb(*descriptor)) {
    // Same matrix and range on both sides, so that only the sampling changes. swscale always takes grey as full range.
    const bool grey = descriptor->nb_components <= 2;
    const int full = grey || range_of(from.color_range, format) == ColorRange::kFull ? 1 : 0;
    const int* matrix = sws_getCoefficients(swscale_matrix(from.colorspace));
    sws_setColorspaceDetails(context_.get(), matrix, full, matrix, full, 0, 1 << 16, 1 << 16);
    to.color_range = full != 0 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  }
  return sws_scale(context_.get(), from.data, from.linesize, 0, from.height, to.data, to.linesize) == to.height;
}

}  // namespace gantry::media
