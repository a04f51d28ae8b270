#include "gantry/scene/source.hpp"

#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <vector>

#include "gantry/core/errors.hpp"
#include "gantry/scene/playback.hpp"
#include "scene/frame_buffers.hpp"
#include "scene/world_feed.hpp"

namespace gantry::scene {
namespace {

/// The live worlds of this process, one for all cameras that ask for the same traffic.
std::shared_ptr<WorldFeed> shared_feed(const WorldOptions& options) {
  struct Entry {
    WorldOptions options;
    std::weak_ptr<WorldFeed> feed;
  };
  static std::mutex mutex;
  static std::vector<Entry> entries;
  const std::lock_guard lock(mutex);
  std::erase_if(entries, [](const Entry& e) { return e.feed.expired(); });
  for (const Entry& e : entries) {
    if (e.options == options) {
      if (auto feed = e.feed.lock()) return feed;
    }
  }
  auto feed = std::make_shared<WorldFeed>(options);
  feed->impl().epoch = SteadyClock{}.now();
  entries.push_back({options, feed});
  return feed;
}

class SceneSource final : public media::Source {
 public:
  explicit SceneSource(SceneOptions options) : options_(std::move(options)) {
    stream_.codec = "raw";
    stream_.width = options_.view.width;
    stream_.height = options_.view.height;
    stream_.frame_rate = options_.view.fps;
    stream_.live = options_.live;
    stream_.time_base_num = 1;
    stream_.time_base_den = 90'000;
    if (options_.length > Duration{}) {
      const double seconds = std::chrono::duration<double>(options_.length).count();
      frames_ = static_cast<std::uint64_t>(std::ceil(seconds * options_.view.fps - 1e-6));
      if (!options_.live) {
        stream_.duration = options_.length;
        stream_.frames = static_cast<std::int64_t>(*frames_);
      }
    }
  }
  ~SceneSource() override {
    if (truth_ != nullptr) std::fclose(truth_);
  }

  Result<void> open() override {
    if (playback_ != nullptr) return {};
    try {
      if (options_.live) feed_ = shared_feed(options_.world);
      playback_ = std::make_unique<Playback>(options_, feed_);
    } catch (const MediaError& error) {
      return fail(ErrorCode::kInvalid, error.what());
    }
    buffers_ = std::make_shared<FrameBuffers>(playback_->frame_bytes());
    if (!options_.truth_path.empty()) {
      truth_ = std::fopen(options_.truth_path.c_str(), "wb");
      if (truth_ == nullptr)
        return fail(ErrorCode::kInvalid, "The truth file " + options_.truth_path + " can't be written.");
      const std::string header = playback_->camera_json();
      std::fwrite(header.data(), 1, header.size(), truth_);
    }
    if (options_.live) start_ms_ = world_clock_ms();
    return {};
  }

  Result<media::Packet> next() override {
    if (auto opened = open(); !opened) return fail(opened.error().code, opened.error().message);
    if (frames_ && seq_ >= *frames_) return fail(ErrorCode::kEndOfStream, "The simulated clip has ended.");
    const double period_ms = 1000.0 / options_.view.fps;
    if (options_.live) {
      // A frame that could not be drawn in time is one that the camera never took: the stream goes on with the next.
      const double late = world_clock_ms() - (start_ms_ + static_cast<double>(tick_) * period_ms);
      if (late > period_ms) tick_ += static_cast<std::uint64_t>(late / period_ms);
      if (!wait_until(start_ms_ + static_cast<double>(tick_) * period_ms))
        return fail(ErrorCode::kCancelled, "Cancelled.");
    } else {
      const std::lock_guard lock(mutex_);
      if (cancelled_) return fail(ErrorCode::kCancelled, "Cancelled.");
    }
    const double pts_ms = static_cast<double>(tick_) * period_ms;
    FrameBuffers::Lease lease = buffers_->lease();
    playback_->draw(start_ms_ + pts_ms, pts_ms, seq_, lease.data);
    if (truth_ != nullptr) {
      line_.clear();
      append_truth_jsonl(playback_->truth(), line_);
      std::fwrite(line_.data(), 1, line_.size(), truth_);
      if (options_.live) std::fflush(truth_);
    }
    media::Packet packet;
    packet.payload = media::RawPayload{playback_->view(lease.data), std::move(lease.storage)};
    packet.pts = Duration(static_cast<std::int64_t>(std::llround(pts_ms * 1e6)));
    packet.arrived_at = SteadyClock{}.now();
    packet.keyframe = true;
    packet.stream_changed = seq_ == 0;
    ++seq_;
    ++tick_;
    return packet;
  }

  const media::StreamInfo& stream() const noexcept override { return stream_; }

  void cancel() noexcept override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    wake_.notify_all();
  }

 private:
  [[nodiscard]] double world_clock_ms() const {
    return std::chrono::duration<double, std::milli>(SteadyClock{}.now() - feed_->impl().epoch).count();
  }
  bool wait_until(double world_ms) {
    const TimePoint at = feed_->impl().epoch + Duration(static_cast<std::int64_t>(world_ms * 1e6));
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, at, [this] { return cancelled_; });
    return !cancelled_;
  }

  SceneOptions options_;
  media::StreamInfo stream_;
  std::optional<std::uint64_t> frames_;
  std::shared_ptr<WorldFeed> feed_;  ///< live only
  std::unique_ptr<Playback> playback_;
  std::shared_ptr<FrameBuffers> buffers_;
  std::FILE* truth_ = nullptr;
  std::string line_;
  double start_ms_ = 0;     ///< of the first frame, on the world's clock
  std::uint64_t seq_ = 0;   ///< frames handed out
  std::uint64_t tick_ = 0;  ///< frame periods since the start
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
};

}  // namespace

std::unique_ptr<media::Source> make_scene_source(const media::SourceConfig& config) {
  SceneOptions options = parse_scene_uri(config.url);
  if (config.pacing == media::Pacing::kLive) options.live = true;
  return std::make_unique<SceneSource>(std::move(options));
}

void register_scene_sources() {
  media::register_scheme("scene", make_scene_source);
}

}  // namespace gantry::scene
