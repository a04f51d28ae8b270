#include "media/mp4_encoder.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "gantry/core/errors.hpp"

namespace gantry::media {
namespace {

/// In order of preference.
constexpr std::array<const char*, 3> kEncoders{"libx264", "libopenh264", "mpeg4"};

}  // namespace

void Mp4Encoder::OutputDelete::operator()(AVFormatContext* context) const noexcept {
  if (context->pb != nullptr) avio_closep(&context->pb);
  avformat_free_context(context);
}

Mp4Encoder::Mp4Encoder(const std::string& path, const ClipOptions& options) : path_(path), options_(options) {
  GANTRY_EXPECTS(options.frame_rate > 0, "a clip's nominal frame rate must be above 0");
  GANTRY_EXPECTS(options.time_base_num > 0 && options.time_base_den > 0, "a clip's tick must be longer than nothing");
  GANTRY_EXPECTS(options.quality >= 0 && options.quality <= 51, "a clip's quality must lie in 0…51");
  quiet_ffmpeg_log();
  for (const char* name : kEncoders)
    if (encoder_.empty() && avcodec_find_encoder_by_name(name) != nullptr) encoder_ = name;
  if (encoder_.empty())
    throw MediaError(path + ": this FFmpeg can encode neither H.264 (libx264, libopenh264) nor MPEG-4");
  AVFormatContext* format = nullptr;
  if (avformat_alloc_output_context2(&format, nullptr, "mp4", path.c_str()) < 0)
    throw MediaError(path + ": this FFmpeg cannot write MP4");
  format_.reset(format);
  if (const int code = avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE); code < 0)
    throw MediaError(av_failure(code, path + ": can't be written").error.message);
  packet_.reset(av_packet_alloc());
}

Mp4Encoder::~Mp4Encoder() {
  (void)finish();
}

Result<void> Mp4Encoder::open_encoder(const AVFrame& first) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(first.format));
  const bool rgb = (format->flags & AV_PIX_FMT_FLAG_RGB) != 0;
  const AVColorSpace matrix = first.colorspace;
  int code = AVERROR_ENCODER_NOT_FOUND;
  for (auto name = std::find(kEncoders.begin(), kEncoders.end(), encoder_); name != kEncoders.end(); ++name) {
    const AVCodec* codec = avcodec_find_encoder_by_name(*name);
    if (codec == nullptr) continue;
    AvPtr<AVCodecContext> context(avcodec_alloc_context3(codec));
    if (context == nullptr) return failed(AVERROR(ENOMEM), "no encoder");
    context->width = canvas_.frame().width;
    context->height = canvas_.frame().height;
    context->pix_fmt = AV_PIX_FMT_YUV420P;
    // The encoder counts pictures; their true time stamps bypass it. MPEG-4 knows no finer tick than 1/65535 s.
    context->time_base = av_d2q(1 / options_.frame_rate, 65'535);
    context->framerate = av_inv_q(context->time_base);
    context->gop_size =
        std::max(1, static_cast<int>(std::lround(std::chrono::duration<double>(options_.key_frame_every).count() *
                                                 options_.frame_rate)));
    context->max_b_frames = 0;
    context->thread_count = options_.threads;
    context->colorspace = matrix;
    context->color_range = rgb ? AVCOL_RANGE_MPEG : first.color_range;
    if (matrix_of(matrix) == ColorMatrix::kBt709) {
      context->color_primaries = AVCOL_PRI_BT709;
      context->color_trc = AVCOL_TRC_BT709;
    }
    context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary* extra = nullptr;
    if (encoder_ == "libx264" && *name == encoder_) {
      av_dict_set(&extra, "preset", options_.preset.c_str(), 0);
      av_dict_set_int(&extra, "crf", options_.quality, 0);
    } else {
      context->flags |= AV_CODEC_FLAG_QSCALE;
      context->global_quality = FF_QP2LAMBDA * std::clamp(options_.quality / 6, 1, 31);
      context->bit_rate = static_cast<std::int64_t>(0.1 * context->width * context->height * options_.frame_rate);
    }
    code = avcodec_open2(context.get(), codec, &extra);
    av_dict_free(&extra);
    if (code >= 0) {
      encoder_ = *name;
      context_ = std::move(context);
      return {};
    }
  }
  return failed(code, "the encoder does not start");
}

Result<void> Mp4Encoder::begin(const AVFrame& first) {
  if (!canvas_.resize(first.width, first.height)) return failed(AVERROR(ENOMEM), "no picture");
  if (Result<void> opened = open_encoder(first); !opened) return opened;
  stream_ = avformat_new_stream(format_.get(), nullptr);
  if (stream_ == nullptr) return failed(AVERROR(ENOMEM), "no stream");
  if (const int code = avcodec_parameters_from_context(stream_->codecpar, context_.get()); code < 0)
    return failed(code, "no stream");
  stream_->time_base = {options_.time_base_num, options_.time_base_den};
  stream_->avg_frame_rate = context_->framerate;
  AVDictionary* extra = nullptr;
  av_dict_set(&extra, "movflags", "+faststart", 0);
  // Gaps in front of the first picture are kept in ticks of the whole file, by default thousandths of a second.
  av_dict_set_int(&extra, "movie_timescale", options_.time_base_den, 0);
  const int code = avformat_write_header(format_.get(), &extra);
  av_dict_free(&extra);
  if (code < 0) return failed(code, "the header can't be written");
  return {};
}

Result<void> Mp4Encoder::write(const AVFrame& picture, Duration pts) {
  GANTRY_EXPECTS(!finished_, "a finished clip takes no more pictures");
  if (context_ == nullptr)
    if (Result<void> begun = begin(picture); !begun) return begun;
  if (!canvas_.fill(picture, context_->colorspace, context_->color_range))
    return fail(ErrorCode::kUnsupported, path_ + ": the picture can't be converted");
  const AVRational tick{options_.time_base_num, options_.time_base_den};
  std::int64_t at = av_rescale_q(pts.count(), AVRational{1, 1'000'000'000}, tick);
  if (pictures_ > 0) at = std::max(at, last_tick_ + 1);
  last_tick_ = at;
  ticks_.push_back(at);
  canvas_.frame().pts = pictures_++;
  canvas_.frame().quality = context_->global_quality;
  if (const int code = avcodec_send_frame(context_.get(), &canvas_.frame()); code < 0)
    return failed(code, "encoding failed");
  return drain();
}

Result<void> Mp4Encoder::drain() {
  for (;;) {
    const int code = avcodec_receive_packet(context_.get(), packet_.get());
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return {};
    if (code < 0) return failed(code, "encoding failed");
    const AVRational tick{options_.time_base_num, options_.time_base_den};
    packet_->pts = packet_->dts = av_rescale_q(ticks_.front(), tick, stream_->time_base);
    packet_->duration = av_rescale_q(1, context_->time_base, stream_->time_base);
    packet_->stream_index = stream_->index;
    ticks_.pop_front();
    if (const int written = av_interleaved_write_frame(format_.get(), packet_.get()); written < 0)
      return failed(written, "writing failed; is the disk full?");
  }
}

Result<void> Mp4Encoder::finish() {
  if (finished_) return {};
  finished_ = true;
  if (stream_ == nullptr) {
    format_.reset();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
    return {};
  }
  avcodec_send_frame(context_.get(), nullptr);
  if (Result<void> drained = drain(); !drained) return drained;
  if (const int code = av_write_trailer(format_.get()); code < 0) return failed(code, "the index can't be written");
  if (const int code = avio_closep(&format_->pb); code < 0) return failed(code, "closing failed; is the disk full?");
  return {};
}

}  // namespace gantry::media
