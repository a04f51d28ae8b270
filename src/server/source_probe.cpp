#include "server/source_probe.hpp"

#include <atomic>
#include <thread>

#include "gantry/core/errors.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/jpeg.hpp"

namespace gantry::server {
namespace {

constexpr int kQuality = 75;
/// How long pictures are counted where the stream does not say how many a second there are.
constexpr Duration kMeasure = std::chrono::milliseconds{1500};

/// Cancels `source` when the time is over or somebody else is in a hurry, until it goes.
class Watchdog {
 public:
  Watchdog(media::Source& source, Duration limit, std::mutex& mutex, std::condition_variable& wake, const bool& hurry)
      : mutex_(mutex), wake_(wake), thread_([this, &source, limit, &hurry] {
          std::unique_lock lock{mutex_};
          const bool called_off = wake_.wait_for(lock, limit, [&] { return done_ || hurry; });
          if (done_) return;
          expired_ = !called_off;
          source.cancel();
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock{mutex_};
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  [[nodiscard]] bool expired() const noexcept { return expired_; }

 private:
  std::mutex& mutex_;
  std::condition_variable& wake_;
  bool done_ = false;
  std::atomic<bool> expired_{false};
  std::thread thread_;  // last: it uses all of the above
};

/// The first picture, and how fast pictures come where the stream does not say.
Result<ProbeFinding> look(media::Source& source, TimePoint began) {
  const SteadyClock clock;
  const auto decoder = media::make_ffmpeg_decoder();
  ProbeFinding found;
  int pictures = 0;
  TimePoint first{};
  for (;;) {
    const auto packet = source.next();
    if (!packet) {
      if (pictures > 0) return found;  // a still, or a clip that ended while it was counted
      return Unexpected<Error>{packet.error()};
    }
    if (packet->stream_changed) {
      const auto& stream = source.stream();
      if (const auto opened = decoder->open(stream); !opened) return Unexpected<Error>{opened.error()};
      found.codec = stream.codec;
      found.fps = stream.frame_rate;
    }
    decoder->send(*packet);
    Frame frame;
    for (auto event = decoder->receive(frame); event != media::DecodeEvent::kNeedPacket;
         event = decoder->receive(frame)) {
      if (event != media::DecodeEvent::kFrame) continue;
      if (++pictures > 1) continue;
      first = clock.now();
      found.first_picture = first - began;
      found.width = frame.image.width;
      found.height = frame.image.height;
      media::JpegEncoder encoder;
      if (const auto encoded = encoder.encode(frame.image, kQuality, found.jpeg); !encoded)
        return Unexpected<Error>{encoded.error()};
    }
    if (pictures == 0) continue;
    if (found.fps > 0 && !found.fps_measured) return found;
    const Duration counted = clock.now() - first;
    if (pictures > 1) {
      found.fps_measured = true;
      found.fps = (pictures - 1) / std::chrono::duration<double>(counted).count();
    }
    if (counted >= kMeasure) return found;
  }
}

}  // namespace

Result<ProbeFinding> SourceProbe::probe(const std::string& url, std::shared_ptr<const media::SourceGate> gate,
                                        media::Transport transport, Duration limit) {
  const auto began = SteadyClock{}.now();
  try {
    media::SourceConfig config;
    config.url = url;
    config.transport = transport;
    config.gate = std::move(gate);
    config.connect_timeout = config.read_timeout = limit;
    const auto source = media::make_source(config);
    const Watchdog watchdog{*source, limit, mutex_, wake_, cancelled_};
    auto found = look(*source, began);
    if (!found && watchdog.expired())
      return fail(ErrorCode::kTimeout,
                  "no picture within " + std::to_string(std::chrono::ceil<std::chrono::seconds>(limit).count()) + " s");
    return found;
  } catch (const StartupError& error) {
    return fail(ErrorCode::kInvalid, error.what());
  }
}

void SourceProbe::cancel() noexcept {
  {
    const std::lock_guard lock{mutex_};
    cancelled_ = true;
  }
  wake_.notify_all();
}

}  // namespace gantry::server
