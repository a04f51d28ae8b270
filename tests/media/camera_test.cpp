// CameraStream with scripted sources: states, books, and what it may change while it runs.
#include <atomic>
#include <deque>

#include "media/camera_watch.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// Says what its script says, then keeps quiet until it is cancelled.
class ScriptedSource final : public Source {
 public:
  using Step = std::variant<Duration, Error>;  ///< a picture with that time stamp, or a failure
  struct Script {
    std::mutex mutex;
    std::deque<Result<void>> opens;  ///< answers of open(); afterwards it succeeds
    std::deque<Step> steps;
  };
  explicit ScriptedSource(std::shared_ptr<Script> script) : script_(std::move(script)) {
    info_.codec = "raw";
    image_.width = 2;
    image_.height = 2;
    image_.format = PixelFormat::kBgr24;
    image_.planes[0] = {pixels_, 6};
  }
  Result<void> open() override {
    const std::lock_guard lock(script_->mutex);
    if (script_->opens.empty()) return {};
    Result<void> answer = std::move(script_->opens.front());
    script_->opens.pop_front();
    return answer;
  }
  Result<Packet> next() override {
    for (;;) {
      if (cancelled_) return fail(ErrorCode::kCancelled, "cancelled");
      {
        const std::lock_guard lock(script_->mutex);
        if (!script_->steps.empty()) {
          const Step step = script_->steps.front();
          script_->steps.pop_front();
          if (const auto* error = std::get_if<Error>(&step)) return Unexpected<Error>{*error};
          Packet packet;
          packet.payload = RawPayload{image_, {}};
          packet.pts = std::get<Duration>(step);
          packet.arrived_at = SteadyClock{}.now();
          packet.keyframe = true;
          packet.stream_changed = std::exchange(first_, false);
          return packet;
        }
      }
      std::this_thread::sleep_for(1ms);
    }
  }
  const StreamInfo& stream() const noexcept override { return info_; }
  void cancel() noexcept override { cancelled_ = true; }

 private:
  std::shared_ptr<Script> script_;
  std::atomic<bool> cancelled_{false};
  bool first_ = true;
  StreamInfo info_;
  Image image_;
  std::uint8_t pixels_[12] = {};
};

struct Camera {
  std::shared_ptr<ScriptedSource::Script> script = std::make_shared<ScriptedSource::Script>();
  CameraOptions options;

  explicit Camera(const std::string& url = "test://x") : options(quick_camera(url)) {
    options.backoff = {5ms, 20ms};
    options.make_source = [s = script](const SourceConfig&) { return std::make_unique<ScriptedSource>(s); };
  }
  void picture(Duration pts) { script->steps.emplace_back(pts); }
  void failure(ErrorCode code, const char* message) { script->steps.emplace_back(Error{code, message}); }
};

TEST(CameraStream, EveryStateIsReportedOnceWithTheReason) {
  Camera camera;
  camera.script->opens.push_back(fail(ErrorCode::kNetwork, "refused"));
  camera.picture(0ms);
  camera.failure(ErrorCode::kTimeout, "nothing came");
  camera.picture(40ms);
  Watch watch(camera.options);
  ASSERT_TRUE(watch.wait_for_frames(2));
  watch.camera().stop();
  const std::vector<std::string> expected{
      "connecting>backing_off", "backing_off>connecting", "connecting>live", "live>backing_off",
      "backing_off>connecting", "connecting>live",        "live>removed"};
  EXPECT_EQ(watch.path(), expected);
  const std::vector<StateChange> changes = watch.changes();
  EXPECT_EQ(changes[0].reason, "refused");
  EXPECT_EQ(changes[0].name, "gate");
  EXPECT_EQ(changes[0].camera, 7U);
  EXPECT_GT(changes[0].retry_in, 0ms);
  EXPECT_EQ(changes[3].reason, "nothing came");
  EXPECT_EQ(watch.camera().state(), CameraState::kRemoved);
  EXPECT_EQ(watch.camera().counters().connections, 2U);
  EXPECT_EQ(watch.camera().counters().attempts, 3U);
}

TEST(CameraStream, LastingFaultsFailAndAreTriedAgain) {
  for (const ErrorCode code :
       {ErrorCode::kUnauthorized, ErrorCode::kNotFound, ErrorCode::kUnsupported, ErrorCode::kCorrupt}) {
    Camera camera;
    camera.script->opens.push_back(fail(code, "no"));
    camera.picture(0ms);
    Watch watch(camera.options);
    ASSERT_TRUE(watch.wait_for_frames(1)) << to_string(code);
    EXPECT_EQ(watch.path(), (std::vector<std::string>{"connecting>failed", "failed>connecting", "connecting>live"}));
    EXPECT_GE(watch.changes()[0].retry_in, 10ms) << "the longest back-off is 10 to 20 ms here";
  }
}

TEST(CameraStream, AFileFinishesAndItsDamageIsBookedAndNamed) {
  Camera camera("/some/file.mp4");
  camera.picture(0ms);
  camera.failure(ErrorCode::kCorrupt, "cut off");
  camera.failure(ErrorCode::kEndOfStream, "end of file");
  Watch watch(camera.options);
  ASSERT_TRUE(watch.wait_for(CameraState::kFinished));
  EXPECT_EQ(watch.changes().back().reason, "cut off");
  EXPECT_EQ(watch.counts()[Outcome::kDecodeError], 1U);
  watch.camera().stop();
  EXPECT_EQ(watch.path().back(), "finished>removed");
}

TEST(CameraStream, BooksRateLimitedAndSkippedPictures) {
  Camera camera;
  camera.options.tuning.max_fps = 5;
  for (int i = 0; i < 50; ++i) camera.picture(40ms * i);
  Watch watch(camera.options);
  const auto all = [&] { return watch.counts().received == 50; };
  for (int i = 0; i < 2000 && !all(); ++i) std::this_thread::sleep_for(5ms);
  const FrameCounts counts = watch.counts();
  EXPECT_EQ(counts.received, 50U);
  EXPECT_EQ(counts.published(), 10U);
  EXPECT_EQ(counts[Outcome::kRateLimited], 40U);
  EXPECT_EQ(watch.disorder(), "") << "seq counts the frames that were handed out, without gaps";

  CameraTuning tuning;
  tuning.skip = SkipLevel::kNonReference;  // a drawn picture depends on nothing and nothing on it
  watch.camera().tune(tuning);
  {
    const std::lock_guard lock(camera.script->mutex);
    for (int i = 50; i < 60; ++i) camera.picture(40ms * i);
  }
  for (int i = 0; i < 2000 && watch.counts().received < 60; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(watch.counts()[Outcome::kDecodeSkipped], 10U);
}

TEST(CameraStream, StopsAtOnceWhileItBacksOff) {
  Camera camera;
  camera.options.backoff = {60s, 60s};
  camera.script->opens.push_back(fail(ErrorCode::kNetwork, "refused"));
  Watch watch(camera.options);
  ASSERT_TRUE(watch.wait_for(CameraState::kBackingOff));
  const auto begin = std::chrono::steady_clock::now();
  watch.camera().stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_EQ(watch.path().back(), "backing_off>removed");
}

TEST(CameraStream, AFlappingCameraKeepsBackingOffFurther) {
  Camera camera;
  camera.options.backoff = {4ms, 64ms};
  for (int i = 0; i < 5; ++i) {
    camera.picture(40ms * i);
    camera.failure(ErrorCode::kNetwork, "reset");
  }
  Watch watch(camera.options);
  ASSERT_TRUE(watch.wait_for_frames(5));
  std::vector<Duration> waits;
  for (int i = 0; i < 2000 && waits.size() < 5; ++i) {
    waits.clear();
    for (const StateChange& change : watch.changes())
      if (change.to == CameraState::kBackingOff) waits.push_back(change.retry_in);
    std::this_thread::sleep_for(1ms);
  }
  ASSERT_EQ(waits.size(), 5U);
  EXPECT_GT(waits[4], waits[0] * 4) << "one picture does not make a camera healthy";
}

TEST(CameraStream, UnknownSchemeIsKnownAtOnce) {
  EXPECT_THROW(Watch(quick_camera("nothing://x")), MediaError);
}

TEST(CameraStream, AnotherRoomCanAnswerForItsScheme) {
  const auto script = std::make_shared<ScriptedSource::Script>();
  script->steps.emplace_back(Duration{0});
  register_scheme("drawn", [script](const SourceConfig& config) {
    EXPECT_EQ(config.url, "drawn://crossing");
    return std::make_unique<ScriptedSource>(script);
  });
  Watch watch(quick_camera("drawn://crossing"));
  EXPECT_TRUE(watch.wait_for_frames(1));
}

TEST(CameraStream, APacedFileLoopsLikeACamera) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=160x120:rate=50:duration=0.4 -c:v libx264 -pix_fmt yuv420p " +
                     (folder / "x.mp4").string()));
  CameraOptions options = quick_camera((folder / "x.mp4").string());
  options.source.loop = true;
  options.source.pacing = Pacing::kLive;
  const auto begin = std::chrono::steady_clock::now();
  Watch watch(std::move(options));
  ASSERT_TRUE(watch.wait_for_frames(61));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 1100ms);
  EXPECT_EQ(watch.disorder(), "");
  EXPECT_EQ(watch.path(), std::vector<std::string>{"connecting>live"});
}

}  // namespace
}  // namespace gantry::media
