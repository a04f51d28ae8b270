#include "media/picture.hpp"

#include <turbojpeg.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "media/orient.hpp"

namespace gantry::media {
namespace {

using Bytes = std::span<const std::uint8_t>;

bool begins_with(Bytes bytes, std::string_view magic, std::size_t at = 0) noexcept {
  return bytes.size() >= at + magic.size() && std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
}

AVCodecID codec_of(Bytes bytes) noexcept {
  if (begins_with(bytes, "\x89PNG")) return AV_CODEC_ID_PNG;
  if (begins_with(bytes, "BM")) return AV_CODEC_ID_BMP;
  if (begins_with(bytes, "RIFF") && begins_with(bytes, "WEBP", 8)) return AV_CODEC_ID_WEBP;
  if (begins_with(bytes, std::string_view("II*\0", 4)) || begins_with(bytes, std::string_view("MM\0*", 4)))
    return AV_CODEC_ID_TIFF;
  if (begins_with(bytes, "P4")) return AV_CODEC_ID_PBM;
  if (begins_with(bytes, "P2") || begins_with(bytes, "P5")) return AV_CODEC_ID_PGM;
  if (begins_with(bytes, "P3") || begins_with(bytes, "P6")) return AV_CODEC_ID_PPM;
  return AV_CODEC_ID_NONE;
}

Unexpected<Error> unreadable(const std::string& name, const std::string& why) {
  return fail(ErrorCode::kCorrupt, name + ": not a picture that can be read: " + why);
}

/// Adobe stores inks inverted; this is imread's arithmetic for it.
void inks_to_bgr(const std::uint8_t* in, int width, std::uint8_t* out) noexcept {
  for (int x = 0; x < width; ++x, in += 4, out += 3)
    for (int c = 0; c < 3; ++c) out[2 - c] = static_cast<std::uint8_t>(in[3] - ((255 - in[c]) * in[3] >> 8));
}

}  // namespace

PictureReader::PictureReader(std::int64_t most_pixels)
    : most_pixels_(std::min(most_pixels, kMostPixels)), turbo_(tjInitDecompress()) {
  GANTRY_EXPECTS(turbo_ != nullptr, "libjpeg-turbo could not start");
}
PictureReader::~PictureReader() {
  tjDestroy(turbo_);
}

Unexpected<Error> PictureReader::too_large(const std::string& name, int width, int height) const {
  return fail(ErrorCode::kUnsupported, name + ": " + std::to_string(width) + "x" + std::to_string(height) +
                                           " is larger than a picture may be (" + std::to_string(most_pixels_) +
                                           " pixels)");
}

Result<PictureLoan> PictureReader::read_jpeg(Bytes bytes, const std::string& name) {
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (tjDecompressHeader3(turbo_, bytes.data(), bytes.size(), &width, &height, &subsampling, &colorspace) != 0)
    return unreadable(name, tjGetErrorStr2(turbo_));
  if (width < 1 || height < 1) return unreadable(name, "it has no header");
  if (std::int64_t{width} * height > most_pixels_) return too_large(name, width, height);
  PictureLoan picture = pool_.borrow(AV_PIX_FMT_BGR24, width, height);
  if (!picture) return too_large(name, width, height);
  const AVFrame& frame = *picture.frame;

  const bool four_inks = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  if (four_inks) cmyk_.resize(std::size_t{4} * width * height);
  const int code =
      tjDecompress2(turbo_, bytes.data(), bytes.size(), four_inks ? cmyk_.data() : frame.data[0], width,
                    four_inks ? 4 * width : frame.linesize[0], height, four_inks ? TJPF_CMYK : TJPF_BGR, 0);
  // A warning (bytes missing at the end, say) leaves a picture with grey areas; imread hands those out too.
  if (code != 0 && tjGetErrorCode(turbo_) == TJERR_FATAL) return unreadable(name, tjGetErrorStr2(turbo_));
  if (four_inks)
    for (int y = 0; y < height; ++y)
      inks_to_bgr(cmyk_.data() + std::size_t{4} * width * y, width,
                  frame.data[0] + std::ptrdiff_t{frame.linesize[0]} * y);
  return picture;
}

Result<PictureLoan> PictureReader::read_other(Bytes bytes, const std::string& name) {
  const AVCodecID id = codec_of(bytes);
  if (id == AV_CODEC_ID_NONE) return unreadable(name, "it is none of JPEG, PNG, BMP, WebP, TIFF and PNM");
  const AVCodec* codec = avcodec_find_decoder(id);
  if (codec == nullptr) return fail(ErrorCode::kUnsupported, name + ": this FFmpeg has no decoder for it");
  AvPtr<AVCodecContext> context(avcodec_alloc_context3(codec));
  AvPtr<AVPacket> packet(av_packet_alloc());
  AvPtr<AVFrame> decoded(av_frame_alloc());
  if (context == nullptr || packet == nullptr || decoded == nullptr ||
      av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0)
    return fail(ErrorCode::kExhausted, name + ": out of memory");
  std::memcpy(packet->data, bytes.data(), bytes.size());
  context->max_pixels = most_pixels_;
  context->thread_count = 1;
  int code = avcodec_open2(context.get(), codec, nullptr);
  if (code >= 0) code = avcodec_send_packet(context.get(), packet.get());
  if (code >= 0) code = avcodec_send_packet(context.get(), nullptr);
  if (code >= 0) code = avcodec_receive_frame(context.get(), decoded.get());
  if (code < 0) return unreadable(name, av_failure(code, codec->name).error.message);

  PictureLoan picture = pool_.borrow(AV_PIX_FMT_BGR24, decoded->width, decoded->height);
  if (!picture) return too_large(name, decoded->width, decoded->height);
  if (!convert_(*decoded, *picture.frame)) return unreadable(name, "its pixel format is not known");
  return picture;
}

Result<PictureLoan> PictureReader::read(Bytes bytes, const std::string& name) {
  if (bytes.empty()) return fail(ErrorCode::kCorrupt, name + ": the file is empty (0 bytes)");
  const bool jpeg = begins_with(bytes, "\xFF\xD8\xFF");
  Result<PictureLoan> stored = jpeg ? read_jpeg(bytes, name) : read_other(bytes, name);
  if (!stored) return stored;
  const Orientation orientation = orientation_of_exif(exif_orientation(bytes));
  if (orientation.upright()) return stored;
  const AVFrame& from = *stored->frame;
  const bool on_its_side = orientation.quarter_turns % 2 != 0;
  PictureLoan upright =
      turned_.borrow(AV_PIX_FMT_BGR24, on_its_side ? from.height : from.width, on_its_side ? from.width : from.height);
  if (!upright) return too_large(name, from.width, from.height);
  turn(from, orientation, *upright.frame);
  return upright;
}

}  // namespace gantry::media
