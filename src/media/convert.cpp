#include "media/convert.hpp"

extern "C" {
#include <libavutil/opt.h>
}

#include <cstring>

#include "gantry/core/expects.hpp"

namespace gantry::media {
namespace {

const AVPixFmtDescriptor* descriptor_of(const AVFrame& frame) noexcept {
  return av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

bool is_rgb(const AVPixFmtDescriptor& format) noexcept {
  return (format.flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER)) != 0;
}

/// swscale always takes grey as full range.
bool is_full(const AVFrame& frame) noexcept {
  const AVPixFmtDescriptor* format = descriptor_of(frame);
  return format->nb_components <= 2 || is_rgb(*format) ||
         range_of(frame.color_range, static_cast<AVPixelFormat>(frame.format)) == ColorRange::kFull;
}

const int* matrix_table(const AVFrame& frame) noexcept {
  switch (matrix_of(frame.colorspace)) {
    case ColorMatrix::kBt709:
      return sws_getCoefficients(SWS_CS_ITU709);
    case ColorMatrix::kBt2020:
      return sws_getCoefficients(SWS_CS_BT2020);
    default:
      return sws_getCoefficients(SWS_CS_ITU601);
  }
}

}  // namespace

AVPixelFormat nearest_format(const AVFrame& from) noexcept {
  const AVPixFmtDescriptor* format = descriptor_of(from);
  return format != nullptr && is_rgb(*format) ? AV_PIX_FMT_BGR24 : AV_PIX_FMT_YUV420P;
}

void keep_colour(const AVFrame& from, AVFrame& to) noexcept {
  to.colorspace = from.colorspace;
  to.color_range = is_full(from) ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
}

void view(const Image& image, AVFrame& frame) {
  GANTRY_EXPECTS(image.space != MemorySpace::kDevice, "pixels on a GPU must be brought to the host first");
  static constexpr AVPixelFormat kFormats[] = {AV_PIX_FMT_NV12, AV_PIX_FMT_YUV420P, AV_PIX_FMT_BGR24, AV_PIX_FMT_RGB24};
  static constexpr AVColorSpace kMatrices[] = {AVCOL_SPC_SMPTE170M, AVCOL_SPC_BT709, AVCOL_SPC_BT2020_NCL};
  frame.format = kFormats[static_cast<int>(image.format)];
  frame.width = image.width;
  frame.height = image.height;
  const bool rgb = image.format == PixelFormat::kBgr24 || image.format == PixelFormat::kRgb24;
  frame.colorspace = rgb ? AVCOL_SPC_SMPTE170M : kMatrices[static_cast<int>(image.matrix)];
  frame.color_range = image.range == ColorRange::kFull ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  for (std::size_t i = 0; i < image.planes.size(); ++i) {
    frame.data[i] = const_cast<std::uint8_t*>(image.planes[i].data);  // only ever read
    frame.linesize[i] = static_cast<int>(image.planes[i].stride_bytes);
  }
}

bool Converter::prepare(const Side& from, const Side& to) {
  if (context_ != nullptr && from == from_ && to == to_) return true;
  context_.reset(sws_alloc_context());
  if (context_ == nullptr) return false;
  const auto set = [&](const char* name, int value) { av_opt_set_int(context_.get(), name, value, 0); };
  set("srcw", from.width);
  set("srch", from.height);
  set("src_format", from.format);
  set("src_range", from.full);
  set("dstw", to.width);
  set("dsth", to.height);
  set("dst_format", to.format);
  set("dst_range", to.full);
  // Without full chroma input swscale averages pixels in pairs and reads past the end of odd rows.
  set("sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP);
  const bool ok = sws_init_context(context_.get(), nullptr, nullptr) >= 0;
  if (ok) sws_setColorspaceDetails(context_.get(), from.matrix, from.full, to.matrix, to.full, 0, 1 << 16, 1 << 16);
  if (!ok) context_.reset();
  from_ = from;
  to_ = to;
  return ok;
}

bool Converter::operator()(const AVFrame& from, AVFrame& to) {
  if (descriptor_of(from) == nullptr || sws_isSupportedInput(static_cast<AVPixelFormat>(from.format)) == 0)
    return false;
  // The matrix on an RGB side is that of the other side, so that nothing is converted between two matrices by mistake.
  const bool from_rgb = is_rgb(*descriptor_of(from)), to_rgb = is_rgb(*descriptor_of(to));
  const Side source{from.format, from.width, from.height, is_full(from) ? 1 : 0, matrix_table(from_rgb ? to : from)};
  const Side target{to.format, to.width, to.height, is_full(to) ? 1 : 0, matrix_table(to_rgb ? from : to)};
  if (!prepare(source, target)) return false;
  return sws_scale(context_.get(), from.data, from.linesize, 0, from.height, to.data, to.linesize) == to.height;
}

bool Canvas::resize(int width, int height) {
  if (width == width_ && height == height_) return true;
  av_frame_unref(frame_.get());
  frame_->format = AV_PIX_FMT_YUV420P;
  frame_->width = width + width % 2;
  frame_->height = height + height % 2;
  const bool ok = av_frame_get_buffer(frame_.get(), 0) >= 0;
  width_ = ok ? width : 0;
  height_ = ok ? height : 0;
  return ok;
}

bool Canvas::fill(const AVFrame& from, AVColorSpace matrix, AVColorRange range) {
  if (av_frame_make_writable(frame_.get()) < 0) return false;
  AVFrame& to = *frame_;
  to.colorspace = matrix;
  to.color_range = range;
  const int even_width = to.width, even_height = to.height;
  to.width = width_;
  to.height = height_;
  const bool same = from.format == to.format && from.width == to.width && from.height == to.height &&
                    matrix_of(from.colorspace) == matrix_of(matrix) && is_full(from) == is_full(to);
  bool ok = true;
  if (same)
    for (int i = 0; i < 3; ++i) {
      const int width = i == 0 ? to.width : AV_CEIL_RSHIFT(to.width, 1);
      const int height = i == 0 ? to.height : AV_CEIL_RSHIFT(to.height, 1);
      for (int y = 0; y < height; ++y)
        std::memcpy(to.data[i] + std::ptrdiff_t{to.linesize[i]} * y,
                    from.data[i] + std::ptrdiff_t{from.linesize[i]} * y, static_cast<std::size_t>(width));
    }
  else
    ok = convert_(from, to);
  to.width = even_width;
  to.height = even_height;
  if (!ok) return false;
  if (width_ < even_width)
    for (int y = 0; y < height_; ++y) {
      std::uint8_t* row = to.data[0] + std::ptrdiff_t{to.linesize[0]} * y;
      row[width_] = row[width_ - 1];
    }
  if (height_ < even_height) {
    std::uint8_t* last = to.data[0] + std::ptrdiff_t{to.linesize[0]} * (height_ - 1);
    std::memcpy(last + to.linesize[0], last, static_cast<std::size_t>(even_width));
  }
  return true;
}

}  // namespace gantry::media
