#include "media/ffmpeg_source.hpp"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include "gantry/media/url.hpp"
#include "media/av.hpp"
#include "media/gated_io.hpp"
#include "media/interrupt.hpp"
#include "media/rtp_pictures.hpp"

namespace gantry::media {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

/// Behind its own clock by more than this, a paced file starts its clock anew instead of rushing to catch up.
constexpr Duration kMostLag = seconds(2);

class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&dict_); }
  void set(const char* key, const char* value) { av_dict_set(&dict_, key, value, 0); }
  AVDictionary** get() noexcept { return &dict_; }

 private:
  AVDictionary* dict_ = nullptr;
};

bool always_live(const std::string& scheme) {
  static constexpr const char* kSchemes[] = {"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp"};
  return std::any_of(std::begin(kSchemes), std::end(kSchemes), [&](const char* s) { return scheme == s; });
}

std::string seconds_text(Duration d) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) text += "." + std::to_string(ms % 1000 + 1000).substr(1);
  return text + " s";
}

class FfmpegSource final : public Source {
 public:
  explicit FfmpegSource(const SourceConfig& config)
      : config_(config), scheme_(url_scheme(config.url)), name_(redact_url(config.url)), interrupt_(config.on_stall) {
    live_ = always_live(scheme_);
    packet_.reset(av_packet_alloc());
    if (config_.gate) {
      gated_.emplace(*config_.gate);
      interrupt_.also_stops([this] { return gated_->strayed(); });
    }
  }

  Result<void> open() override {
    if (interrupt_.cancelled()) return cancelled();
    Result<void> opened = connect();
    if (!opened) close();
    return opened;
  }

  Result<Packet> next() override;
  const StreamInfo& stream() const noexcept override { return info_; }

  void cancel() noexcept override {
    interrupt_.cancel();
    const std::lock_guard lock(wait_mutex_);
    wait_.notify_all();
  }

 private:
  static Unexpected<Error> cancelled() { return fail(ErrorCode::kCancelled, "cancelled"); }
  Result<void> connect();
  [[nodiscard]] Result<std::string> pass_gate(AVFormatContext& format);
  Result<void> check_file() const;
  Unexpected<Error> open_failure(int code) const;
  Result<void> choose_video();
  void describe();
  void close() noexcept {
    rtp_pictures_.reset();
    if (gated_) gated_->release();
    format_.reset();
    stream_ = nullptr;
  }
  int read();
  std::string cut_off() const;
  Unexpected<Error> read_failure(int code);
  Result<void> start_again();
  Packet describe_packet();
  bool wait_for_its_time(std::int64_t timestamp);

  SourceConfig config_;
  std::string scheme_;
  std::string name_;  ///< as it may be printed
  bool live_ = false;
  bool ended_ = false;
  Interrupt interrupt_;
  std::optional<GatedIo> gated_;  // outlives the format
  AvPtr<AVFormatContext> format_;
  AVStream* stream_ = nullptr;
  std::unique_ptr<RtpPictures> rtp_pictures_;  ///< where it reads instead of FFmpeg
  AVCodecID codec_ = AV_CODEC_ID_NONE;
  AvPtr<AVPacket> packet_;
  NativeStream native_;
  StreamInfo info_;
  bool changed_ = false;

  // The time axis that the reader sees: container time plus offset_.
  Duration offset_{};
  Duration end_{};  ///< of the last packet so far
  bool axis_set_ = false;
  TimePoint first_connection_{};
  std::uint64_t packets_in_round_ = 0;

  // Pacing.
  std::mutex wait_mutex_;
  std::condition_variable wait_;
  TimePoint pace_start_{};
  Duration pace_origin_{};
  bool pace_set_ = false;
  SteadyClock clock_;
};

Result<void> FfmpegSource::check_file() const {
  std::error_code error;
  const fs::file_status status = fs::status(config_.url, error);
  if (status.type() == fs::file_type::not_found)
    return fail(ErrorCode::kNotFound, name_ + ": no such file; check the path");
  if (fs::is_regular_file(status) && fs::file_size(config_.url, error) == 0 && !error)
    return fail(ErrorCode::kCorrupt, name_ + ": the file is empty (0 bytes)");
  return {};
}

Unexpected<Error> FfmpegSource::open_failure(int code) const {
  if (interrupt_.cancelled()) return cancelled();
  if (interrupt_.stopped_otherwise())
    return fail(ErrorCode::kUnauthorized, name_ + ": it redirects, which cameras that clients added may not");
  if (gated_ && !gated_->refusal().empty()) return fail(ErrorCode::kUnauthorized, name_ + ": " + gated_->refusal());
  if (interrupt_.timed_out())
    return fail(ErrorCode::kTimeout, name_ + ": no video within " + seconds_text(config_.connect_timeout) +
                                         " (connect_timeout); is the camera reachable?");
  switch (error_code_of(code)) {
    case ErrorCode::kUnauthorized:
      if (scheme_.empty()) return fail(ErrorCode::kUnauthorized, name_ + ": permission denied");
      return fail(ErrorCode::kUnauthorized, name_ + ": user name or password is wrong or missing");
    case ErrorCode::kNotFound:
      return fail(ErrorCode::kNotFound, name_ + ": the server has no such stream; check the path in the URL");
    case ErrorCode::kCorrupt:
      if (scheme_.empty())
        return fail(ErrorCode::kCorrupt,
                    name_ + ": not a video that can be read; it is cut off, damaged or of another kind");
      return fail(ErrorCode::kCorrupt, name_ + ": the server's answer is not a video stream");
    default:
      if (gated_ && code == AVERROR(EIO) && scheme_.starts_with("http"))
        return fail(ErrorCode::kNetwork, name_ +
                                             ": can't be read; does it redirect? Where clients added a camera, "
                                             "redirects are not followed");
      return av_failure(code, name_);
  }
}

/// What FFmpeg is to open.
Result<std::string> FfmpegSource::pass_gate(AVFormatContext& format) {
  if (!gated_) return config_.url;
  auto passage = config_.gate->pass(config_.url);
  if (!passage) return fail(passage.error().code, name_ + ": " + passage.error().message);
  if (passage->trusted) return config_.url;
  gated_->install(format, scheme_);
  if (scheme_ != "rtsp" && scheme_ != "rtsps") return config_.url;  // passes in GatedIo
  gated_->stay_with(format, passage->url);
  return passage->url;
}

Result<void> FfmpegSource::connect() {
  close();
  if (scheme_.empty())
    if (Result<void> file = check_file(); !file) return file;

  Dictionary options;
  const bool rtsp = scheme_ == "rtsp" || scheme_ == "rtsps";
  if (rtsp) {
    options.set("rtsp_transport", config_.transport == Transport::kUdp ? "udp" : "tcp");
    options.set("allowed_media_types", "video");
  }
  AVFormatContext* format = avformat_alloc_context();
  if (format == nullptr) return fail(ErrorCode::kExhausted, name_ + ": out of memory");
  format->interrupt_callback = interrupt_.callback();
  if (always_live(scheme_)) format->fps_probe_size = 0;  // a camera's first second is worth more than its exact rate
  interrupt_.arm(config_.connect_timeout);
  const auto url = pass_gate(*format);
  if (!url) {
    avformat_free_context(format);
    return Unexpected<Error>{url.error()};
  }
  // FFmpeg frees the context where it can't open.
  const int opened = avformat_open_input(&format, url->c_str(), nullptr, options.get());
  if (opened < 0) return open_failure(opened);
  format_.reset(format);
  if (rtsp && choose_video() && RtpPictures::serves(*stream_->codecpar)) {
    rtp_pictures_ = std::make_unique<RtpPictures>(*format, *stream_);
    rtp_pictures_->probe();
  } else if (const int code = avformat_find_stream_info(format, nullptr); code < 0) {
    return open_failure(code);
  }
  if (interrupt_.cancelled() || interrupt_.timed_out()) return open_failure(AVERROR_EXIT);
  if (!rtp_pictures_)
    if (Result<void> chosen = choose_video(); !chosen) return chosen;

  const TimePoint now = clock_.now();
  if (first_connection_ == TimePoint{}) first_connection_ = now;
  if (!always_live(scheme_)) live_ = !scheme_.empty() && format_->duration <= 0;
  if (live_) axis_set_ = false;
  describe();
  ended_ = false;
  packets_in_round_ = 0;
  pace_set_ = false;
  return {};
}

Result<void> FfmpegSource::choose_video() {
  const int index = av_find_best_stream(format_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (index < 0) {
    const unsigned count = format_->nb_streams;
    if (count == 0)
      return fail(ErrorCode::kCorrupt, name_ + ": no stream in it; it is cut off, damaged or of another kind");
    const char* kind = av_get_media_type_string(format_->streams[0]->codecpar->codec_type);
    return fail(ErrorCode::kUnsupported, name_ + ": no video in it, only " + (kind != nullptr ? kind : "data") +
                                             "; give a file or stream with video");
  }
  for (unsigned i = 0; i < format_->nb_streams; ++i)
    format_->streams[i]->discard = static_cast<int>(i) == index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  stream_ = format_->streams[index];
  return {};
}

void FfmpegSource::describe() {
  const AVCodecParameters& parameters = *stream_->codecpar;
  native_ = {stream_->codecpar, stream_->time_base, orientation_of(parameters, stream_)};
  codec_ = parameters.codec_id;
  const AVRational rate = av_guess_frame_rate(format_.get(), stream_, nullptr);
  info_ = {};
  info_.codec = avcodec_get_name(parameters.codec_id);
  info_.width = parameters.width;
  info_.height = parameters.height;
  info_.frame_rate = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
  info_.live = live_ || config_.pacing == Pacing::kLive;
  if (!live_) {
    if (stream_->duration > 0)
      info_.duration = to_duration(stream_->duration, stream_->time_base);
    else if (format_->duration > 0)
      info_.duration = to_duration(format_->duration, AVRational{1, AV_TIME_BASE});
    info_.frames = stream_->nb_frames;
  }
  info_.time_base_num = stream_->time_base.num;
  info_.time_base_den = stream_->time_base.den;
  info_.native = &native_;
  changed_ = true;
}

int FfmpegSource::read() {
  const bool network = !scheme_.empty();
  interrupt_.arm(network ? config_.read_timeout : Duration{}, live_ ? config_.stall_after : Duration{});
  for (;;) {
    av_packet_unref(packet_.get());
    const int code = rtp_pictures_ ? rtp_pictures_->read(*packet_) : av_read_frame(format_.get(), packet_.get());
    if (code == AVERROR(EAGAIN) && !interrupt_.cancelled() && !interrupt_.timed_out()) continue;
    if (code < 0) return code;
    if (interrupt_.timed_out()) return AVERROR_EXIT;  // only what FFmpeg's parser still held back
    AVStream* from = format_->streams[packet_->stream_index];
    if (from == stream_) return 0;
    // A video stream that shows up later (a new programme table in MPEG-TS) takes over from the one that was chosen.
    if (from->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && from->discard != AVDISCARD_ALL &&
        from->codecpar->codec_id != AV_CODEC_ID_NONE) {
      stream_->discard = AVDISCARD_ALL;
      stream_ = from;
      describe();
      return 0;
    }
  }
}

/// FFmpeg ends a file that is cut off like a whole one. Its index knows better. Empty where nothing is missing.
std::string FfmpegSource::cut_off() const {
  const std::int64_t size = format_->pb != nullptr ? avio_size(format_->pb) : -1;
  const int entries = avformat_index_get_entries_count(stream_);
  if (size <= 0 || entries == 0) return {};
  const AVIndexEntry* last = avformat_index_get_entry(stream_, entries - 1);
  if (last->pos + last->size <= size) return {};
  return "cut off behind " + std::to_string(packets_in_round_) + " of " + std::to_string(entries) + " pictures";
}

Unexpected<Error> FfmpegSource::read_failure(int code) {
  const bool timed_out = interrupt_.timed_out();
  const std::string cut = code == AVERROR_EOF && !live_ ? cut_off() : std::string{};
  close();
  ended_ = !live_;
  if (interrupt_.cancelled()) return cancelled();
  if (timed_out)
    return fail(ErrorCode::kTimeout,
                name_ + ": nothing came for " + seconds_text(config_.read_timeout) + " (read_timeout)");
  if (code == AVERROR_EOF && live_) return fail(ErrorCode::kNetwork, name_ + ": the camera ended the stream");
  if (!cut.empty()) return fail(ErrorCode::kCorrupt, name_ + ": " + cut);
  if (code == AVERROR_EOF) return fail(ErrorCode::kEndOfStream, name_ + ": end of file");
  return av_failure(code, name_ + ": reading failed");
}

/// Back to the first packet, on a time axis that goes on.
Result<void> FfmpegSource::start_again() {
  if (packets_in_round_ == 0) return fail(ErrorCode::kCorrupt, name_ + ": no picture in it to loop over");
  const std::int64_t start = stream_->start_time != AV_NOPTS_VALUE ? stream_->start_time : 0;
  interrupt_.arm(scheme_.empty() ? Duration{} : config_.connect_timeout);
  if (av_seek_frame(format_.get(), stream_->index, start, AVSEEK_FLAG_BACKWARD) < 0)
    if (Result<void> opened = connect(); !opened) return opened;
  offset_ = end_ - to_duration(start, stream_->time_base);
  pace_set_ = false;
  changed_ = true;
  packets_in_round_ = 0;
  return {};
}

/// False where it was cancelled while it waited.
bool FfmpegSource::wait_for_its_time(std::int64_t timestamp) {
  const Duration time = to_duration(timestamp, stream_->time_base);
  const TimePoint now = clock_.now();
  if (!pace_set_ || now - (pace_start_ + (time - pace_origin_)) > kMostLag) {
    pace_set_ = true;
    pace_start_ = now;
    pace_origin_ = time;
    return true;
  }
  std::unique_lock lock(wait_mutex_);
  wait_.wait_until(lock, pace_start_ + (time - pace_origin_), [&] { return interrupt_.cancelled(); });
  return !interrupt_.cancelled();
}

Packet FfmpegSource::describe_packet() {
  const AVRational base = stream_->time_base;
  const std::int64_t timestamp = packet_->pts != AV_NOPTS_VALUE ? packet_->pts : packet_->dts;
  const Duration step = packet_->duration > 0 ? to_duration(packet_->duration, base)
                        : info_.frame_rate > 0
                            ? std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / info_.frame_rate))
                            : Duration{std::chrono::milliseconds(40)};
  Packet out;
  out.arrived_at = clock_.now();
  // Connections of one camera lie on one axis, as far apart as they were in the world. The first packets after a
  // connection may lack a time stamp; they stand one step apart in front of the first that has one.
  if (live_ && packets_in_round_ == 1 && end_ > Duration::zero())
    end_ = std::max(end_, out.arrived_at - first_connection_);
  if (live_ && !axis_set_ && timestamp != AV_NOPTS_VALUE) {
    offset_ = end_ - to_duration(timestamp, base);
    axis_set_ = true;
  }
  out.pts = timestamp != AV_NOPTS_VALUE ? to_duration(timestamp, base) + offset_ : end_;
  end_ = std::max(end_, out.pts + step);
  out.payload = CodedPayload{{packet_->data, static_cast<std::size_t>(packet_->size)}, packet_.get()};
  out.keyframe = (packet_->flags & AV_PKT_FLAG_KEY) != 0;
  out.stream_changed = std::exchange(changed_, false);
  return out;
}

Result<Packet> FfmpegSource::next() {
  if (interrupt_.cancelled()) return cancelled();
  if (ended_) return fail(ErrorCode::kEndOfStream, name_ + ": end of file");
  if (!format_)
    if (Result<void> opened = open(); !opened) return Unexpected<Error>{opened.error()};
  int code = read();
  if (code == AVERROR_EOF && config_.loop && !live_) {
    if (Result<void> again = start_again(); !again) {
      close();
      ended_ = true;
      return Unexpected<Error>{again.error()};
    }
    code = read();
  }
  if (code < 0) return read_failure(code);
  ++packets_in_round_;
  if (stream_->codecpar->codec_id != codec_) describe();
  if (!live_ && config_.pacing == Pacing::kLive) {
    const std::int64_t due = packet_->dts != AV_NOPTS_VALUE ? packet_->dts : packet_->pts;
    if (due != AV_NOPTS_VALUE && !wait_for_its_time(due)) return cancelled();
  }
  return describe_packet();
}

}  // namespace

std::unique_ptr<Source> make_ffmpeg_source(const SourceConfig& config) {
  quiet_ffmpeg_log();
  return std::make_unique<FfmpegSource>(config);
}

}  // namespace gantry::media
