#include "media/av.hpp"

#include <cmath>
#include <cstring>
#include <mutex>

namespace gantry::media {

Orientation orientation_of(const std::int32_t* m) {
  // (x, y) of the stored picture goes to (a x + c y, b x + d y). A negative determinant is a mirror.
  const double a = m[0], b = m[1], c = m[3], d = m[4];
  Orientation result;
  result.mirror = a * d - b * c < 0;
  // With the mirror taken out (it negates the first column), what is left is a turn by atan2(b, a), clockwise because
  // y points down.
  const double angle = result.mirror ? std::atan2(-b, -a) : std::atan2(b, a);
  result.quarter_turns = static_cast<int>(std::lround(angle / (M_PI / 2)) + 4) % 4;
  return result;
}

Orientation orientation_of([[maybe_unused]] const AVCodecParameters& parameters,
                           [[maybe_unused]] const AVStream* stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100)
  const AVPacketSideData* side =
      av_packet_side_data_get(parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return side != nullptr ? orientation_of(reinterpret_cast<const std::int32_t*>(side->data)) : Orientation{};
#else
  const std::uint8_t* side =
      stream != nullptr ? av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, nullptr) : nullptr;
  return side != nullptr ? orientation_of(reinterpret_cast<const std::int32_t*>(side)) : Orientation{};
#endif
}

bool same_stream(const AVCodecParameters& a, const AVCodecParameters& b) noexcept {
  return a.codec_id == b.codec_id && a.width == b.width && a.height == b.height && a.format == b.format &&
         a.extradata_size == b.extradata_size &&
         (a.extradata_size == 0 ||
          std::memcmp(a.extradata, b.extradata, static_cast<std::size_t>(a.extradata_size)) == 0);
}

void quiet_ffmpeg_log() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_level(AV_LOG_QUIET); });
}

ErrorCode error_code_of(int averror) {
  switch (averror) {
    case AVERROR_EOF:
      return ErrorCode::kEndOfStream;
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
    case AVERROR(EACCES):
      return ErrorCode::kUnauthorized;
    case AVERROR_HTTP_NOT_FOUND:
    case AVERROR(ENOENT):
      return ErrorCode::kNotFound;
    case AVERROR_HTTP_BAD_REQUEST:
    case AVERROR_HTTP_OTHER_4XX:
    case AVERROR_HTTP_SERVER_ERROR:
    case AVERROR(ECONNREFUSED):
    case AVERROR(ECONNRESET):
    case AVERROR(ECONNABORTED):
    case AVERROR(EHOSTUNREACH):
    case AVERROR(ENETUNREACH):
    case AVERROR(EPIPE):
    case AVERROR(EIO):
      return ErrorCode::kNetwork;
    case AVERROR(ETIMEDOUT):
      return ErrorCode::kTimeout;
    case AVERROR_EXIT:
      return ErrorCode::kCancelled;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR(ENOSYS):
    case AVERROR_PATCHWELCOME:
      return ErrorCode::kUnsupported;
    case AVERROR(ENOMEM):
      return ErrorCode::kExhausted;
    default:
      return ErrorCode::kCorrupt;
  }
}

Unexpected<Error> av_failure(int averror, const std::string& what) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(averror, text, sizeof text);
  return fail(error_code_of(averror), what + ": " + text);
}

ColorMatrix matrix_of(AVColorSpace space) noexcept {
  switch (space) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_SMPTE240M:  // its coefficients lie within 0.01 of BT.709's
      return ColorMatrix::kBt709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return ColorMatrix::kBt2020;
    default:
      return ColorMatrix::kBt601;
  }
}

ColorRange range_of(AVColorRange range, AVPixelFormat format) noexcept {
  if (range == AVCOL_RANGE_JPEG) return ColorRange::kFull;
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
      return ColorRange::kFull;
    default:
      return ColorRange::kLimited;
  }
}

}  // namespace gantry::media
