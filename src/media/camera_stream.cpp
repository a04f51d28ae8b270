#include "gantry/media/camera_stream.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "gantry/core/expects.hpp"
#include "gantry/media/rate_limiter.hpp"
#include "gantry/media/url.hpp"

namespace gantry::media {

const char* to_string(CameraState state) noexcept {
  static constexpr std::array<const char*, 7> kNames{"connecting", "live",     "stalled", "backing_off",
                                                     "failed",     "finished", "removed"};
  return kNames[static_cast<std::size_t>(state)];
}

namespace {

/// Faults that a second attempt will meet again.
bool lasts(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kUnauthorized:
    case ErrorCode::kNotFound:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorrupt:
    case ErrorCode::kInvalid:
      return true;
    default:
      return false;
  }
}

}  // namespace

class CameraStream::Impl {
 public:
  Impl(CameraOptions options, FrameLedger& ledger, OnFrame on_frame, OnState on_state)
      : options_(std::move(options)),
        ledger_(ledger),
        on_frame_(std::move(on_frame)),
        on_state_(std::move(on_state)),
        endless_(!url_scheme(options_.source.url).empty()),
        backoff_(options_.backoff, options_.seed) {
    GANTRY_EXPECTS(on_frame_ != nullptr, "a camera needs somebody who takes its frames");
    tune(options_.tuning);
    SourceConfig config = options_.source;
    config.on_stall = [this] { stalled("no packet for a while"); };
    source_ = options_.make_source ? options_.make_source(config) : media::make_source(config);
    decoder_ = options_.make_decoder ? options_.make_decoder(options_.decoder) : make_ffmpeg_decoder(options_.decoder);
  }

  void start() {
    GANTRY_EXPECTS(!thread_.joinable(), "a camera is started once");
    thread_ = std::thread([this] { run(); });
    std::string name = "cam " + options_.name;
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  }

  void cancel() noexcept {
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    wake_.notify_all();
    source_->cancel();
  }

  void stop() noexcept {
    cancel();
    if (thread_.joinable()) thread_.join();
    state_ = CameraState::kRemoved;
  }

  void tune(const CameraTuning& tuning) noexcept {
    max_fps_ = tuning.max_fps;
    deadline_ns_ = tuning.deadline.count();
    priority_ = tuning.priority;
    skip_ = tuning.skip;
  }

  CameraState state() const noexcept { return state_; }
  CameraCounters counters() const noexcept {
    return {connections_, attempts_, packets_,    bytes_,         concealed_,
            width_,       height_,   decoded_on_, decoded_there_, mismatched_};
  }

 private:
  void run() noexcept;
  void session();
  Error read_until_failure();
  void drain();
  void take(Frame&& frame);
  void alive();
  void stalled(const char* reason);
  bool pause(Duration wait);
  void change(CameraState to, std::string reason, Duration retry_in = {});

  const CameraOptions options_;
  FrameLedger& ledger_;
  const OnFrame on_frame_;
  const OnState on_state_;
  const bool endless_;  ///< a network's or a simulator's: whatever ends it, it comes back
  std::unique_ptr<Source> source_;
  std::unique_ptr<Decoder> decoder_;
  std::thread thread_;
  SteadyClock clock_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> cancelled_{false};
  std::atomic<CameraState> state_{CameraState::kConnecting};

  std::atomic<double> max_fps_{0};
  std::atomic<Duration::rep> deadline_ns_{0};
  std::atomic<Priority> priority_{Priority::kNormal};
  std::atomic<SkipLevel> skip_{SkipLevel::kNothing};

  std::atomic<std::uint64_t> connections_{0}, attempts_{0}, packets_{0}, bytes_{0}, concealed_{0}, mismatched_{0};
  std::atomic<int> width_{0}, height_{0};
  std::atomic<DecodePlace> decoded_on_{DecodePlace::kCpu};
  std::atomic<DecodeReason> decoded_there_{DecodeReason::kOnlyPlace};

  // The camera's thread only.
  Backoff backoff_;
  RateLimiter limiter_;
  std::uint64_t seq_ = 0;
  bool decoder_open_ = false;
  TimePoint last_picture_{};  ///< or the session's start
  TimePoint live_since_{};
};

void CameraStream::Impl::change(CameraState to, std::string reason, Duration retry_in) {
  const CameraState from = state_.exchange(to);
  if (from == to) return;
  if (on_state_) on_state_({options_.id, options_.name, from, to, std::move(reason), retry_in});
}

void CameraStream::Impl::stalled(const char* reason) {
  if (state_ == CameraState::kLive) change(CameraState::kStalled, reason);
}

/// A picture has come, wanted or not.
void CameraStream::Impl::alive() {
  const TimePoint now = clock_.now();
  last_picture_ = now;
  if (state_ == CameraState::kLive) {
    if (live_since_ != TimePoint{} && now - live_since_ >= options_.stable_after) backoff_.reset();
    return;
  }
  if (state_ == CameraState::kConnecting) {
    ++connections_;
    live_since_ = now;
  }
  change(CameraState::kLive, "pictures come");
}

void CameraStream::Impl::take(Frame&& frame) {
  frame.camera = options_.id;
  frame.seq = seq_++;
  frame.deadline = frame.captured_at + Duration{deadline_ns_};
  frame.priority = priority_;
  width_ = frame.image.width;
  height_ = frame.image.height;
  ledger_.received();
  on_frame_(std::move(frame));
  last_picture_ = clock_.now();  // while the receiver had this thread, nobody was listening to the stream
}

void CameraStream::Impl::drain() {
  Frame frame;
  for (DecodeEvent event{}; (event = decoder_->receive(frame)) != DecodeEvent::kNeedPacket;) {
    switch (event) {
      case DecodeEvent::kFrame:
        alive();
        take(std::move(frame));
        frame = Frame{};
        break;
      case DecodeEvent::kUnwanted:
        alive();
        ledger_.received();
        ledger_.ended(Outcome::kRateLimited);
        break;
      case DecodeEvent::kSkipped:
        alive();
        ledger_.received();
        ledger_.ended(Outcome::kDecodeSkipped);
        break;
      default:
        ledger_.received();
        ledger_.ended(Outcome::kDecodeError);
        break;
    }
  }
  const DecoderStats stats = decoder_->stats();
  concealed_ = stats.concealed;
  mismatched_ = stats.mismatched;
  decoded_on_ = stats.place;
  decoded_there_ = stats.reason;
}

/// One connection, or one reading of a file: from opening to the error that ends it.
Error CameraStream::Impl::read_until_failure() {
  last_picture_ = clock_.now();
  ++attempts_;
  if (Result<void> opened = source_->open(); !opened) return opened.error();
  std::string damage;
  for (;;) {
    Result<Packet> packet = source_->next();
    if (cancelled_) return {ErrorCode::kCancelled, "stopped"};
    if (!packet) {
      const Error& error = packet.error();
      if (error.code == ErrorCode::kEndOfStream && !damage.empty()) return {error.code, damage};
      if (endless_ || error.code == ErrorCode::kEndOfStream) return error;
      // A file that is cut off says so before its end; a folder goes on behind a damaged picture.
      damage = error.message;
      ledger_.received();
      ledger_.ended(Outcome::kDecodeError);
      continue;
    }
    ++packets_;
    if (const auto* coded = std::get_if<CodedPayload>(&packet->payload)) bytes_ += coded->bytes.size();
    if (packet->stream_changed || !decoder_open_) {
      if (decoder_open_) {
        decoder_->finish();
        drain();
      }
      const Result<void> opened = decoder_->open(source_->stream());
      decoder_open_ = opened.has_value();
      if (!opened) return opened.error();
    }
    limiter_.set_rate(max_fps_);
    decoder_->set_skip(skip_);
    decoder_->send(*packet, limiter_.admit(packet->pts) ? Need::kPicture : Need::kNothing);
    drain();

    const Duration without = clock_.now() - last_picture_;
    if (endless_ && without >= options_.source.read_timeout)
      return {ErrorCode::kTimeout, "packets come, and none of them can be decoded"};
    if (without >= options_.source.stall_after) stalled("packets come, and none of them can be decoded");
  }
}

/// False where the camera was cancelled meanwhile.
bool CameraStream::Impl::pause(Duration wait) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, wait, [&] { return cancelled_.load(); });
}

void CameraStream::Impl::session() {
  for (;;) {
    const Error error = read_until_failure();
    if (decoder_open_ && !cancelled_) {
      decoder_->finish();
      drain();
      decoder_open_ = false;
    }
    if (cancelled_) return;
    if (error.code == ErrorCode::kEndOfStream) return change(CameraState::kFinished, error.message);
    const bool failed = lasts(error.code);
    const Duration wait = failed ? backoff_.longest() : backoff_.next();
    change(failed ? CameraState::kFailed : CameraState::kBackingOff, error.message, wait);
    if (!pause(wait)) return;
    change(CameraState::kConnecting, "trying again");
  }
}

void CameraStream::Impl::run() noexcept {
  try {
    session();
  } catch (const std::exception& error) {
    change(CameraState::kFailed, std::string("internal error: ") + error.what());
  }
  // Whoever removes the camera hears of it from this thread too.
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return cancelled_.load(); });
  lock.unlock();
  change(CameraState::kRemoved, "stopped");
}

CameraStream::CameraStream(CameraOptions options, FrameLedger& ledger, OnFrame on_frame, OnState on_state)
    : impl_(std::make_unique<Impl>(std::move(options), ledger, std::move(on_frame), std::move(on_state))) {}
CameraStream::~CameraStream() {
  impl_->stop();
}
void CameraStream::start() {
  impl_->start();
}
void CameraStream::cancel() noexcept {
  impl_->cancel();
}
void CameraStream::stop() noexcept {
  impl_->stop();
}
void CameraStream::tune(const CameraTuning& tuning) noexcept {
  impl_->tune(tuning);
}
CameraState CameraStream::state() const noexcept {
  return impl_->state();
}
CameraCounters CameraStream::counters() const noexcept {
  return impl_->counters();
}

}  // namespace gantry::media
