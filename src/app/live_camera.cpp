#include "app/live_camera.hpp"

#include <algorithm>

#include "gantry/core/trace.hpp"
#include "gantry/media/url.hpp"

namespace gantry::app {
namespace {

media::CameraTuning tuning_of(const config::CameraConfig& config, media::SkipLevel skip) {
  return {.max_fps = config.fps, .deadline = config.deadline, .priority = config.priority, .skip = skip};
}

media::CameraOptions options_of(const std::string& id, CameraId number, const config::CameraConfig& config,
                                std::shared_ptr<const media::SourceGate> gate, const System::MakeDecoder& make_decoder,
                                const std::shared_ptr<media::DecodeSite>& site) {
  media::CameraOptions options;
  if (make_decoder)
    options.make_decoder = [make_decoder, site](const media::DecoderOptions& decoder) {
      return media::make_movable_decoder([make_decoder, decoder](int place) { return make_decoder(decoder, place); },
                                         site);
    };
  options.id = number;
  options.name = options.decoder.name = id;
  options.source.url = config.source;
  options.source.loop = config.loop;
  if (config.from_client) options.source.gate = std::move(gate);
  options.source.pacing = media::Pacing::kLive;
  options.source.transport =
      config.transport == config::Transport::kUdp ? media::Transport::kUdp : media::Transport::kTcp;
  options.source.connect_timeout = config.connect_timeout;
  options.source.read_timeout = config.read_timeout;
  options.source.stall_after = std::min<Duration>(options.source.stall_after, config.read_timeout);
  options.backoff = {.first = config.backoff_min, .most = config.backoff_max};
  options.seed = std::hash<std::string>{}(id) + number;
  options.tuning = tuning_of(config, media::SkipLevel::kNothing);
  return options;
}

/// How long after a question pictures are brought from a card.
constexpr Duration kWatchedFor = std::chrono::seconds(3);

/// A picture brought from a card.
class HostPicture final : public Storage {
 public:
  /// Points `image` at it. Empty where the picture can't be had.
  static StorageRef fetch(const StorageRef& pixels, Image& image) {
    if (!pixels) return {};
    const auto width = static_cast<std::size_t>(image.width + 1) / 2 * 2;
    const auto height = static_cast<std::size_t>(image.height + 1) / 2 * 2;
    auto picture = std::make_unique<HostPicture>(width * height * 3 / 2);
    std::uint8_t* bytes = picture->bytes_.data();
    if (!pixels.get()->download(bytes)) return {};
    image.format = PixelFormat::kNv12;
    image.space = MemorySpace::kHost;
    image.device = -1;
    const auto stride = static_cast<std::ptrdiff_t>(width);
    image.planes = {Plane{bytes, stride}, Plane{bytes + width * height, stride}, Plane{}};
    return StorageRef(picture.release());
  }
  explicit HostPicture(std::size_t size) : bytes_(size) {}

 private:
  void recycle() noexcept override { delete this; }
  std::vector<std::uint8_t> bytes_;
};

Severity severity_of(media::CameraState state) {
  switch (state) {
    case media::CameraState::kStalled:
    case media::CameraState::kBackingOff:
      return Severity::kWarning;
    case media::CameraState::kFailed:
      return Severity::kError;
    default:
      return Severity::kInfo;
  }
}

}  // namespace

LiveCamera::LiveCamera(std::string id, CameraId number, const config::CameraConfig& config,
                       const engine::DetectOptions* options, std::shared_ptr<CameraBooks> books, Submit submit,
                       LogFn log, const Clock& clock, std::shared_ptr<const media::SourceGate> gate,
                       System::MakeDecoder make_decoder, Placed placed)
    : id_(std::move(id)),
      number_(number),
      books_(std::move(books)),
      submit_(std::move(submit)),
      placed_(std::move(placed)),
      log_(std::move(log)),
      clock_(clock),
      options_(options),
      config_(config),
      since_(clock.now()),
      picture_check_(config.picture_check.count()) {
  stream_ = std::make_unique<media::CameraStream>(
      options_of(id_, number_, config, std::move(gate), make_decoder, site_), books_->ledger,
      [this](Frame&& frame) {
        ++on_their_way_;
        look_at(frame);
        note_decoder();
        note_place(frame);
        if (Trace* trace = Trace::active())
          trace->add({.name = "decode",
                      .track = TraceSpan::Track::kCamera,
                      .number = number_,
                      .begin = frame.captured_at,
                      .took = clock_.now() - frame.captured_at,
                      .seq = frame.seq});
        submit_(*this, std::move(frame));
      },
      [this](const media::StateChange& change) { on_state(change); });
}

void LiveCamera::adjust(const config::CameraConfig& config, const engine::DetectOptions* options) {
  options_ = options;
  picture_check_ = config.picture_check.count();
  const std::lock_guard lock{mutex_};
  config_ = config;
  stream_->tune(tuning_of(config_, skip_));
}

void LiveCamera::skip(const std::array<media::SkipLevel, kPriorityCount>& levels) {
  const std::lock_guard lock{mutex_};
  const auto level = levels[static_cast<std::size_t>(config_.priority)];
  if (level == skip_) return;
  skip_ = level;
  stream_->tune(tuning_of(config_, skip_));
}

/// A look now and then: what it sees changes slowly and its cost should not count.
void LiveCamera::look_at(Frame& frame) {
  const Duration every{picture_check_};
  const TimePoint last = looked_at_;
  if (every == Duration{} || (last != TimePoint{} && frame.captured_at - last < every)) return;
  if (frame.image.space == MemorySpace::kDevice)
    frame.wants_quality = true;  // and the next ones, until an answer comes: a frame may be dropped on its way
  else if (frame.image.planes[0].data != nullptr)
    judge(frame.image, frame.captured_at);
}

/// @param picture anything that the meter takes
template <typename Picture>
void LiveCamera::judge(const Picture& picture, TimePoint at) {
  const std::lock_guard one{judging_};
  if (at <= looked_at_.load()) return;  // frames that run side by side may end out of order
  looked_at_ = at;
  const auto now = quality_meter_.measure(picture, at);
  vision::Quality before;
  {
    const std::lock_guard lock{mutex_};
    before = picture_.value_or(vision::Quality{});
    picture_ = now;
  }
  if (now.covered != before.covered)
    log_(now.covered ? Severity::kWarning : Severity::kInfo,
         "camera " + id_ +
             (now.covered ? ": the picture shows nearly nothing; is the lens covered?"
                          : ": the picture shows something again"));
  if (now.frozen != before.frozen)
    log_(now.frozen ? Severity::kWarning : Severity::kInfo,
         "camera " + id_ +
             (now.frozen ? ": the picture is frozen; it has not changed for a while" : ": the picture changes again"));
}

/// Says where the camera is decoded when that changes.
void LiveCamera::note_decoder() {
  const auto now = counters();
  if (now.mismatched > mismatched_) {
    if (mismatched_ == 0)
      log_(Severity::kError,
           "camera " + id_ +
               ": a picture of its shared decoder session differs from a session of its own; it moves "
               "to one at its next key frame");
    mismatched_ = now.mismatched;
  }
  if (now.decoded_there == decoded_there_) return;
  decoded_there_ = now.decoded_there;
  const bool on_gpu = now.decoded_on == media::DecodePlace::kGpu;
  log_(on_gpu ? Severity::kInfo : Severity::kWarning,
       "camera " + id_ + ": decoded on the " + (on_gpu ? "GPU" : "CPU") + ": " + media::to_string(decoded_there_));
}

void LiveCamera::note_place(const Frame& frame) {
  const int lies_on = frame.image.space == MemorySpace::kDevice ? site_->now() : System::kOnCpu;
  if (bound_to_.exchange(lies_on) != lies_on) placed_(*this);
}

void LiveCamera::on_state(const media::StateChange& change) {
  {
    const std::lock_guard lock{mutex_};
    reason_ = change.reason;
    since_ = clock_.now();
    retry_in_ = change.retry_in;
  }
  std::string text = "camera " + id_ + ": " + media::to_string(change.from) + " -> " + media::to_string(change.to);
  if (!change.reason.empty()) text += ": " + change.reason;
  if (change.retry_in > Duration{})
    text += "; next attempt in " +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(change.retry_in).count()) + " ms";
  log_(severity_of(change.to), text);
}

void LiveCamera::ended(scheduler::FrameEnd& end, const ResultHub& hub) {
  if (!is_drop(end.outcome)) publish(end, hub);
  ended_early(end.outcome);
}

void LiveCamera::ended_early(Outcome outcome) noexcept {
  books_->ledger.ended(outcome);
  if (--on_their_way_ == 0) on_their_way_.notify_all();
}

void LiveCamera::wait_until_idle() const noexcept {
  for (auto left = on_their_way_.load(); left != 0; left = on_their_way_.load()) on_their_way_.wait(left);
}

void LiveCamera::publish(scheduler::FrameEnd& end, const ResultHub& hub) {
  // Reused from frame to frame, so that a warm pipeline allocates nothing here.
  thread_local sinks::FrameResult result;
  result.camera = id_;
  result.camera_number = number_;
  result.seq = end.frame.seq;
  result.pts = end.frame.pts;
  result.width = end.frame.image.width;
  result.height = end.frame.image.height;
  result.late = end.outcome == Outcome::kPublishedLate;
  result.detections.swap(end.detections);
  const auto& times = end.times;
  result.latency = {{}, times.preprocess, times.inference, times.postprocess, end.ended_at - end.frame.captured_at};
  result.latency.queue =
      std::max(Duration{}, result.latency.total - times.preprocess - times.inference - times.postprocess);
  result.latency.decode = end.submitted_at - end.frame.captured_at;
  result.latency.fetch = times.fetch;
  books_->latency.add(result.latency);
  if (end.quality) judge(*end.quality, end.frame.captured_at);
  keep_newest(end, result);  // first: who hears of the result may ask for its picture
  hub.publish(result);
}

/// A picture on a card is brought here only while somebody watches: its surface is soon needed again.
void LiveCamera::keep_newest(scheduler::FrameEnd& end, const sinks::FrameResult& result) {
  Image image = end.frame.image;
  StorageRef pixels = std::move(end.frame.pixels);
  if (image.space == MemorySpace::kDevice) {
    if (clock_.now() >= watched_until_.load()) return;
    pixels = HostPicture::fetch(pixels, image);
    if (!pixels) return;
  }
  const std::lock_guard lock{mutex_};
  // Frames that run side by side may end out of order.
  if (newest_ && newest_->result.seq > result.seq) return;
  if (!newest_) newest_.emplace();
  newest_->result = result;
  newest_->image = image;
  newest_->pixels = std::move(pixels);
}

config::CameraConfig LiveCamera::config() const {
  const std::lock_guard lock{mutex_};
  return config_;
}

media::CameraCounters LiveCamera::counters() const {
  media::CameraCounters counters = stream_->counters();
  if (spilled_ && counters.decoded_on == media::DecodePlace::kCpu)
    counters.decoded_there = media::DecodeReason::kSaturated;
  return counters;
}

CameraStatus LiveCamera::status() const {
  CameraStatus status;
  status.id = id_;
  status.number = number_;
  status.state = stream_->state();
  status.stream = counters();
  status.frames = books_->ledger.read();
  status.latency = {books_, &books_->latency};
  const std::lock_guard lock{mutex_};
  status.config = config_;
  status.config.source = media::redact_url(config_.source);
  status.reason = reason_;
  status.since = since_;
  status.retry_in = retry_in_;
  status.picture = picture_;
  return status;
}

std::optional<Snapshot> LiveCamera::snapshot() const {
  watched_until_ = clock_.now() + kWatchedFor;
  const std::lock_guard lock{mutex_};
  return newest_ && newest_->pixels ? newest_ : std::nullopt;
}

scheduler::CameraSpec LiveCamera::free_spec() const {
  const std::lock_guard lock{mutex_};
  scheduler::CameraSpec spec;
  spec.id = number_;
  spec.priority = config_.priority;
  return spec;
}

scheduler::CameraSpec LiveCamera::spec() const {
  scheduler::CameraSpec spec = free_spec();
  if (const int card = bound_to_; card != System::kOnCpu) {
    spec.home = static_cast<scheduler::DeviceId>(card);
    spec.pinned = true;
  }
  return spec;
}

}  // namespace gantry::app
