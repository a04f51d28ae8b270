// The whole server on the real OpenVINO back end: eight cameras that send more than the machine can do, three of them
// urgent. An inference cannot be interrupted, so an urgent frame that comes while others run waits for one of them.
// GANTRY_LIVE_SECONDS makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/engine/factory.hpp"
#include "gantry/media/source_factory.hpp"
#include "support/test_data.hpp"

namespace gantry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kModel = "weights/yolo11n_int8_openvino";
constexpr int kWidth = 640, kHeight = 360;
constexpr int kCameras = 8, kUrgent = 3;
constexpr double kLoad = 1.2;       // of what the machine does
constexpr int kUrgentDeadline = 5;  // × t(1)
constexpr double kMostUrgentMisses = 0.01;
constexpr double kMostDrift = 1.25;  // of the machine's speed during the test, or it measured its neighbours
constexpr auto kWarmUp = seconds{5};
constexpr double kLeastUrgent = 100;  // frames, for one in a hundred to mean something
constexpr int kAttempts = 2;

/// One noisy NV12 picture for everybody.
class Picture final : public Storage {
 public:
  Picture() : bytes_(static_cast<std::size_t>(kWidth) * kHeight * 3 / 2) {
    std::uint32_t state = 1;
    for (auto& byte : bytes_) byte = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24U);
  }
  [[nodiscard]] Image image() const {
    Image image;
    image.width = kWidth;
    image.height = kHeight;
    image.planes[0] = {bytes_.data(), kWidth};
    image.planes[1] = {bytes_.data() + static_cast<std::ptrdiff_t>(kWidth) * kHeight, kWidth};
    return image;
  }

 protected:
  void recycle() noexcept override { delete this; }

 private:
  ~Picture() override = default;
  std::vector<std::uint8_t> bytes_;
};

/// steady://FPS/PHASE is a camera that is never decoded: raw pictures at a steady beat, the first after PHASE beats.
class SteadySource final : public media::Source {
 public:
  explicit SteadySource(const std::string& url) {
    auto* picture = new Picture;
    pixels_ = StorageRef{picture};
    image_ = picture->image();
    const auto at = url.find("://") + 3;
    period_ = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / std::stod(url.substr(at))));
    const double phase = std::stod(url.substr(url.find('/', at) + 1));
    due_ = std::chrono::steady_clock::now() +
           Duration{static_cast<Duration::rep>(phase * static_cast<double>(period_.count()))};
    stream_.codec = "raw";
    stream_.width = kWidth;
    stream_.height = kHeight;
    stream_.live = true;
  }
  Result<void> open() override { return {}; }
  Result<media::Packet> next() override {
    std::unique_lock lock{mutex_};
    if (wake_.wait_until(lock, due_, [this] { return cancelled_; })) return fail(ErrorCode::kCancelled, "cancelled");
    due_ += period_;
    media::RawPayload raw;
    raw.pixels = pixels_;
    raw.image = image_;
    media::Packet packet;
    packet.payload = std::move(raw);
    packet.pts = period_ * next_;
    packet.arrived_at = SteadyClock{}.now();
    packet.keyframe = true;
    packet.stream_changed = next_++ == 0;
    return packet;
  }
  const media::StreamInfo& stream() const noexcept override { return stream_; }
  void cancel() noexcept override {
    {
      const std::lock_guard lock{mutex_};
      cancelled_ = true;
    }
    wake_.notify_all();
  }

 private:
  StorageRef pixels_;
  Image image_;
  Duration period_{};
  TimePoint due_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
  int next_ = 0;
  media::StreamInfo stream_;
};

/// Frames a second of the back end with all its places taken.
double saturated_fps(engine::Backend& backend, engine::InputShape shape, const Image& image) {
  static const engine::DetectOptions options;
  constexpr int kFrames = 40;
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  const int places = backend.capabilities().concurrent_batches;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kFrames; ++i) {
    engine::Batch batch;
    batch.shape = shape;
    batch.entries.resize(1);
    batch.entries[0].frame.image = image;
    batch.entries[0].options = &options;
    {
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return running < places; });
      ++running;
    }
    backend.enqueue(std::move(batch), [&](engine::Batch&&, Result<void>) {
      const std::lock_guard lock{mutex};
      --running;
      changed.notify_all();
    });
  }
  std::unique_lock lock{mutex};
  changed.wait(lock, [&] { return running == 0; });
  return kFrames / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Duration single_latency(const engine::Backend& backend, engine::InputShape shape) {
  for (const engine::Profile& profile : backend.profiles())
    if (profile.shape == shape && profile.batch == 1) return profile.mean;
  return {};
}

struct Outcomes {
  FrameCounts urgent, all;
};

Outcomes read(const app::System& system) {
  Outcomes out;
  for (const auto& camera : system.cameras()) {
    const FrameCounts& frames = camera.frames;
    EXPECT_EQ(frames.received, frames.published() + frames.dropped() + frames.in_flight) << camera.id;
    EXPECT_LT(frames.in_flight, 1000U) << camera.id << ": in flight went below zero";
    if (camera.config.priority == Priority::kUrgent) out.urgent += frames;
    out.all += frames;
  }
  return out;
}

TEST(OpenVinoLive, UrgentFramesMakeItAtAHundredAndTwentyPercent) {
  GANTRY_NEEDS_DATA(kModel);
  media::register_scheme("steady", [](const media::SourceConfig& config) -> std::unique_ptr<media::Source> {
    return std::make_unique<SteadySource>(config.url);
  });
  const char* named = std::getenv("GANTRY_LIVE_SECONDS");
  const seconds length{named != nullptr ? std::stol(named) : 25};
  const SteadyClock clock;
  auto* picture = new Picture;
  const StorageRef pixels{picture};
  const Image image = picture->image();

  double drift = 0;
  double seen = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    engine::ModelOptions options;
    options.path = test::test_data(kModel);
    options.device = engine::Device::kCpu;
    auto owned = engine::make_backend(options);
    engine::Backend& backend = *owned;
    const auto shape = backend.shape_for(kWidth, kHeight);
    backend.prepare(shape, 1);
    const Duration one = single_latency(backend, shape);
    const double capacity = saturated_fps(backend, shape, image);
    const double fps = kLoad * capacity / kCameras;

    config::Config config;
    for (int i = 0; i < kCameras; ++i) {
      config::CameraConfig camera;
      camera.source = "steady://" + std::to_string(fps) + "/" + std::to_string(i * 0.618 - static_cast<int>(i * 0.618));
      camera.deadline = std::max<Duration>(milliseconds{500}, 10 * one);
      if (i < kUrgent) {
        camera.priority = Priority::kUrgent;
        camera.deadline = kUrgentDeadline * one;
      }
      config.cameras["camera" + std::to_string(i)] = camera;
    }
    std::vector<std::unique_ptr<engine::Backend>> backends;
    backends.push_back(std::move(owned));
    app::System system{config, std::move(backends), clock, [](app::Severity severity, std::string_view text) {
                         if (severity >= app::Severity::kWarning)
                           std::printf("  %.*s\n", static_cast<int>(text.size()), text.data());
                       }};
    system.start();
    std::this_thread::sleep_for(kWarmUp);
    const Outcomes before = read(system);
    const auto began = clock.now();
    while (clock.now() < began + length) {
      static_cast<void>(read(system));
      std::this_thread::sleep_for(milliseconds{200});
    }
    const Outcomes after = read(system);
    const double passed = std::chrono::duration<double>(clock.now() - began).count();
    system.stop();
    const Outcomes end = read(system);
    EXPECT_EQ(end.all.in_flight, 0U);
    const FrameCounts total = system.totals();
    EXPECT_EQ(total.received, total.published() + total.dropped());

    const auto ended = [](const FrameCounts& frames) { return frames.received - frames.in_flight; };
    const double urgent = static_cast<double>(ended(after.urgent) - ended(before.urgent));
    const double urgent_met =
        static_cast<double>(after.urgent[Outcome::kPublished] - before.urgent[Outcome::kPublished]);
    const double offered = static_cast<double>(after.all.received - before.all.received) / passed;
    const double answered = static_cast<double>(after.all.published() - before.all.published()) / passed;
    const double misses = 1 - urgent_met / urgent;
    // The shape is ready, so the measurement goes to the same network at once.
    auto again = engine::make_backend(options);
    again->prepare(shape, 1);
    const double capacity_after = saturated_fps(*again, shape, image);
    drift = std::max(capacity / capacity_after, capacity_after / capacity);
    std::printf(
        "  t(1) %.1f ms; %.1f frames/s possible (%.1f afterwards); %.1f offered, %.1f answered; %.0f urgent frames, "
        "%.2f %% missed\n",
        std::chrono::duration<double, std::milli>(one).count(), capacity, capacity_after, offered, answered, urgent,
        100 * misses);
    seen = urgent;
    if (drift > kMostDrift || urgent < kLeastUrgent) continue;
    EXPECT_LT(misses, kMostUrgentMisses);
    EXPECT_GT(offered, 1.1 * answered) << "this was meant to be more than the machine can do";
    EXPECT_GT(end.all.dropped(), 0U);
    return;
  }
  GTEST_SKIP() << "this machine is too busy to measure on: its speed changed by a factor of " << drift
               << " during the test, and it could be given only " << seen << " urgent frames";
}

}  // namespace
}  // namespace gantry
