#include <algorithm>
#include <thread>
#include <vector>

#include "gantry/media/decoder.hpp"
#include "media/av.hpp"
#include "media/convert.hpp"
#include "media/orient.hpp"
#include "media/picture_kind.hpp"
#include "media/picture_pool.hpp"
#include "media/skip_gate.hpp"

namespace gantry::media {
namespace {

/// Pictures come out of order by at most this many (16 in H.264 and HEVC) and the decoder's own threads. A packet
/// further back than that whose picture has not come will never have one.
constexpr std::uint64_t kReorder = 16;
constexpr std::size_t kMostPending = 64;
constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

/// A packet inside the decoder. Its token travels through FFmpeg as the opaque of packet and picture.
struct Pending {
  std::uint64_t token = 0;
  Duration pts{};
  TimePoint arrived_at{};
  std::int64_t native_pts = AV_NOPTS_VALUE;
  std::int64_t native_dts = AV_NOPTS_VALUE;
  bool wanted = true;
  bool failed = false;  ///< the decoder reported an error on it; a patched picture may still come
};

bool is_interlaced(const AVFrame& frame) noexcept {
#ifdef AV_FRAME_FLAG_INTERLACED
  return (frame.flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
  return frame.interlaced_frame != 0;
#endif
}

std::uint64_t token_of(const AVFrame& frame) noexcept {
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
  return reinterpret_cast<std::uintptr_t>(frame.opaque);
#else
  return static_cast<std::uint64_t>(frame.reordered_opaque);
#endif
}

class FfmpegDecoder final : public Decoder {
 public:
  explicit FfmpegDecoder(const DecoderOptions& options) : options_(options) {
    packet_.reset(av_packet_alloc());
    frame_.reset(av_frame_alloc());
    parameters_.reset(avcodec_parameters_alloc());
    pending_.reserve(kMostPending + 1);
  }

  Result<void> open(const StreamInfo& stream) override;
  void send(const Packet& packet, Need need) override;
  void finish() override {
    if (context_ != nullptr) avcodec_send_packet(context_.get(), nullptr);
  }
  DecodeEvent receive(Frame& frame) override;
  void set_skip(SkipLevel level) noexcept override { gate_.set(level); }
  DecoderStats stats() const noexcept override { return stats_; }

 private:
  int thread_count(bool live) const;
  int feed(const AVPacket& coded, std::uint64_t token);
  void mark_failed(std::uint64_t token);
  bool give_up_failed();
  void give_up_before(std::uint64_t token);
  void give_up(const Pending& entry);
  Pending take(const AVFrame& frame);
  Duration pts_of(const Pending& entry, const AVFrame& frame) const;
  bool hand_out(Frame& out);
  DecodeEvent lost() {
    ++stats_.lost;
    return DecodeEvent::kLost;
  }

  DecoderOptions options_;
  SkipGate gate_;
  DecoderStats stats_;

  AvPtr<AVCodecContext> context_;
  AvPtr<AVCodecParameters> parameters_;
  NativeStream stream_;
  PictureJudge judge_;
  AvPtr<AVPacket> packet_;
  AvPtr<AVFrame> frame_;
  Converter convert_;
  PicturePool pool_;    ///< FFmpeg's pictures passing through
  PicturePool copies_;  ///< converted
  PicturePool turned_;

  std::uint64_t last_token_ = 0;
  std::uint64_t newest_ = 0;      ///< token of the packet fed last, 0 where it holds no picture
  std::vector<Pending> pending_;  ///< in order of tokens
  bool interlaced_ = false;

  // Answers not yet asked for.
  int queued_lost_ = 0, queued_skipped_ = 0, queued_unwanted_ = 0;
  struct Raw {
    Image image;
    StorageRef pixels;
    Duration pts{};
    TimePoint arrived_at{};
    bool present = false;
  } raw_;
};

int FfmpegDecoder::thread_count(bool live) const {
  if (options_.threads > 0) return options_.threads;
  return live ? 1 : std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 8);
}

Result<void> FfmpegDecoder::open(const StreamInfo& stream) {
  pending_.clear();
  queued_lost_ = queued_skipped_ = queued_unwanted_ = 0;
  raw_ = {};
  gate_.reset();
  interlaced_ = false;
  if (stream.codec == "raw") {
    context_.reset();
    return {};
  }
  GANTRY_EXPECTS(stream.native != nullptr, "a coded stream needs FFmpeg's parameters: use a Source of this room");
  const auto& native = *static_cast<const NativeStream*>(stream.native);
  stream_ = native;
  judge_ = PictureJudge(*native.parameters);
  if (context_ != nullptr && same_stream(*parameters_, *native.parameters)) {
    avcodec_flush_buffers(context_.get());
    context_->pkt_timebase = native.time_base;
    return {};
  }
  context_.reset();
  const AVCodec* codec = avcodec_find_decoder(native.parameters->codec_id);
  if (codec == nullptr) return fail(ErrorCode::kUnsupported, "this FFmpeg has no decoder for " + stream.codec);
  AvPtr<AVCodecContext> context(avcodec_alloc_context3(codec));
  if (context == nullptr || avcodec_parameters_to_context(context.get(), native.parameters) < 0)
    return fail(ErrorCode::kExhausted, "no memory for a decoder of " + stream.codec);
  context->pkt_timebase = native.time_base;
  context->max_pixels = kMostPixels;
  context->thread_count = thread_count(stream.live);
  context->thread_type = stream.live ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
  context->flags |= AV_CODEC_FLAG_COPY_OPAQUE;
#endif
  if (const int code = avcodec_open2(context.get(), codec, nullptr); code < 0)
    return av_failure(code, "the decoder of " + stream.codec + " does not start");
  avcodec_parameters_copy(parameters_.get(), native.parameters);
  context_ = std::move(context);
  return {};
}

void FfmpegDecoder::send(const Packet& packet, Need need) {
  if (const auto* raw = std::get_if<RawPayload>(&packet.payload)) {
    if (need == Need::kNothing || gate_.level() == SkipLevel::kNonReference) {
      ++(need == Need::kNothing ? queued_unwanted_ : queued_skipped_);
      return;
    }
    raw_ = {raw->image, raw->pixels, packet.pts, packet.arrived_at, true};
    return;
  }
  GANTRY_EXPECTS(context_ != nullptr, "open() the decoder before the first packet");
  const auto* coded = static_cast<const AVPacket*>(std::get<CodedPayload>(packet.payload).native);
  GANTRY_EXPECTS(coded != nullptr, "coded packets must come from a Source of this room");
  // An empty packet would tell FFmpeg that the stream has ended.
  if (coded->size == 0) return;
  const PictureKind kind = judge_(*coded);
  if (kind == PictureKind::kNone) {
    (void)feed(*coded, 0);  // FFmpeg may call it an error that no picture came
    return;
  }
  if (gate_.leaves_out(packet, kind, need)) {
    ++(need == Need::kNothing ? queued_unwanted_ : queued_skipped_);
    return;
  }
  const std::uint64_t token = ++last_token_;
  pending_.push_back({token, packet.pts, packet.arrived_at, coded->pts, coded->dts, need == Need::kPicture});
  if (pending_.size() > kMostPending) {
    give_up(pending_.front());
    pending_.erase(pending_.begin());
  }
  if (feed(*coded, token) < 0) mark_failed(token);
}

int FfmpegDecoder::feed(const AVPacket& coded, std::uint64_t token) {
  av_packet_unref(packet_.get());
  if (const int code = av_packet_ref(packet_.get(), &coded); code < 0) return code;
  newest_ = token;
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
  packet_->opaque = reinterpret_cast<void*>(static_cast<std::uintptr_t>(token));
#else
  context_->reordered_opaque = static_cast<std::int64_t>(token);
#endif
  return avcodec_send_packet(context_.get(), packet_.get());
}

void FfmpegDecoder::give_up(const Pending& entry) {
  // The second field of a frame and hidden reference pictures are packets without a picture of their own.
  const AVCodecID codec = context_->codec_id;
  const bool hidden = !entry.failed &&
                      (interlaced_ || codec == AV_CODEC_ID_VP8 || codec == AV_CODEC_ID_VP9 || codec == AV_CODEC_ID_AV1);
  if (!entry.wanted)
    ++queued_unwanted_;
  else if (!hidden)
    ++queued_lost_;
}

/// The decoder reported an error on this packet. Whether a patched picture comes all the same shows when it has said
/// everything it has to say.
void FfmpegDecoder::mark_failed(std::uint64_t token) {
  for (Pending& entry : pending_)
    if (entry.token == token) entry.failed = true;
}

/// The decoder waits for the next packet. Where it holds nothing back, what has failed and not come will not come.
bool FfmpegDecoder::give_up_failed() {
  if (context_->has_b_frames > 0 || context_->active_thread_type == FF_THREAD_FRAME) return false;
  const auto first =
      std::stable_partition(pending_.begin(), pending_.end(), [](const Pending& p) { return !p.failed; });
  if (first == pending_.end()) return false;
  std::for_each(first, pending_.end(), [&](const Pending& p) { give_up(p); });
  pending_.erase(first, pending_.end());
  return queued_lost_ + queued_unwanted_ > 0;
}

void FfmpegDecoder::give_up_before(std::uint64_t token) {
  const auto end = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.token >= token; });
  std::for_each(pending_.begin(), end, [&](const Pending& p) { give_up(p); });
  pending_.erase(pending_.begin(), end);
}

Pending FfmpegDecoder::take(const AVFrame& frame) {
  const std::uint64_t token = token_of(frame);
  auto it = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.token == token; });
  if (it == pending_.end() && frame.pts != AV_NOPTS_VALUE)
    it = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.native_pts == frame.pts; });
  if (it == pending_.end()) {
    Pending unknown;
    unknown.pts = frame.best_effort_timestamp != AV_NOPTS_VALUE
                      ? to_duration(frame.best_effort_timestamp, stream_.time_base)
                      : Duration::zero();
    return unknown;
  }
  const Pending entry = *it;
  pending_.erase(it);
  const std::uint64_t window = kReorder + static_cast<std::uint64_t>(context_->thread_count);
  if (entry.token > window) give_up_before(entry.token - window);
  return entry;
}

/// The packet's time stamp where it had one. Where it had only a decode time (AVI), FFmpeg knows which picture got
/// which.
Duration FfmpegDecoder::pts_of(const Pending& entry, const AVFrame& frame) const {
  if (entry.native_pts != AV_NOPTS_VALUE || entry.native_dts == AV_NOPTS_VALUE ||
      frame.best_effort_timestamp == AV_NOPTS_VALUE)
    return entry.pts;
  const Duration offset = entry.pts - to_duration(entry.native_dts, stream_.time_base);
  return to_duration(frame.best_effort_timestamp, stream_.time_base) + offset;
}

/// The picture in frame_, in a format of Gantry's and upright.
bool FfmpegDecoder::hand_out(Frame& out) {
  Orientation orientation = stream_.orientation;
  if (const AVFrameSideData* side = av_frame_get_side_data(frame_.get(), AV_FRAME_DATA_DISPLAYMATRIX); side != nullptr)
    orientation = orientation_of(reinterpret_cast<const std::int32_t*>(side->data));

  PictureLoan picture;
  if (!describe(*frame_, out.image)) {
    picture = copies_.borrow(nearest_format(*frame_), frame_->width, frame_->height);
    if (!picture) return false;
    keep_colour(*frame_, *picture.frame);
    if (!convert_(*frame_, *picture.frame)) return false;
  }
  if (!orientation.upright()) {
    const AVFrame& from = picture ? *picture.frame : *frame_;
    const bool on_its_side = orientation.quarter_turns % 2 != 0;
    PictureLoan upright =
        turned_.borrow(static_cast<AVPixelFormat>(from.format), on_its_side ? from.height : from.width,
                       on_its_side ? from.width : from.height);
    if (!upright) return false;
    turn(from, orientation, *upright.frame);
    upright.frame->colorspace = from.colorspace;
    upright.frame->color_range = from.color_range;
    picture = std::move(upright);
  }
  if (picture) {
    ++stats_.converted;
    av_frame_unref(frame_.get());
  } else {
    picture = pool_.take_over(*frame_);
    if (!picture) return false;
  }
  out.pixels = std::move(picture.owner);
  return describe(*picture.frame, out.image);
}

DecodeEvent FfmpegDecoder::receive(Frame& frame) {
  if (raw_.present) {
    frame.image = raw_.image;
    frame.pixels = std::move(raw_.pixels);
    frame.pts = raw_.pts;
    frame.captured_at = raw_.arrived_at;
    raw_.present = false;
    ++stats_.frames;
    return DecodeEvent::kFrame;
  }
  for (;;) {
    if (queued_lost_ > 0) {
      --queued_lost_;
      return lost();
    }
    if (queued_skipped_ > 0) {
      --queued_skipped_;
      return DecodeEvent::kSkipped;
    }
    if (queued_unwanted_ > 0) {
      --queued_unwanted_;
      return DecodeEvent::kUnwanted;
    }
    if (context_ == nullptr) return DecodeEvent::kNeedPacket;
    const int code = avcodec_receive_frame(context_.get(), frame_.get());
    if (code == AVERROR(EAGAIN)) {
      if (!give_up_failed()) return DecodeEvent::kNeedPacket;
      continue;
    }
    if (code == AVERROR_EOF) {
      if (pending_.empty()) return DecodeEvent::kNeedPacket;
      give_up_before(last_token_ + 1);
      continue;
    }
    if (code < 0) {
      // With frame threads the packet at fault is one of those inside; it is counted when its turn has passed.
      if (context_->active_thread_type != FF_THREAD_FRAME) mark_failed(newest_);
      continue;
    }
    interlaced_ = interlaced_ || is_interlaced(*frame_);
    const Pending entry = take(*frame_);
    if (!entry.wanted) {
      av_frame_unref(frame_.get());
      return DecodeEvent::kUnwanted;
    }
    const bool damaged = frame_->decode_error_flags != 0 || (frame_->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    frame.pts = pts_of(entry, *frame_);
    frame.captured_at = entry.arrived_at;
    if (!hand_out(frame)) {
      av_frame_unref(frame_.get());
      return lost();
    }
    ++stats_.frames;
    if (damaged) ++stats_.concealed;
    return DecodeEvent::kFrame;
  }
}

}  // namespace

std::unique_ptr<Decoder> make_ffmpeg_decoder(const DecoderOptions& options) {
  quiet_ffmpeg_log();
  return std::make_unique<FfmpegDecoder>(options);
}

}  // namespace gantry::media
