#include "gantry/app/system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>

#include "app/fakes.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeBackend;
using test::PacedSource;

class SystemTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    media::register_scheme("paced", [](const media::SourceConfig& config) -> std::unique_ptr<media::Source> {
      return std::make_unique<PacedSource>(config.url);
    });
  }
  ~SystemTest() override {
    system.reset();
    EXPECT_EQ(PacedSource::alive, 0) << "a frame's pixels were kept";
  }

  static config::CameraConfig camera(const std::string& source) {
    config::CameraConfig camera;
    camera.source = source;
    camera.deadline = seconds{10};  // nothing is late on a slow machine unless the test wants it
    return camera;
  }

  void make(const std::map<std::string, std::string>& sources, milliseconds delay = milliseconds{0}) {
    for (const auto& [id, source] : sources) config.cameras[id] = camera(source);
    std::vector<std::unique_ptr<engine::Backend>> backends;
    backends.push_back(std::make_unique<FakeBackend>(2, 1, [delay](const engine::Batch&) { return delay; }));
    system = std::make_unique<System>(config, std::move(backends), clock, [this](Severity, std::string_view text) {
      const std::lock_guard lock{log_mutex};
      log.emplace_back(text);
    });
  }

  template <typename Condition>
  [[nodiscard]] bool eventually(Condition condition) const {
    for (int i = 0; i < 3000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds{5});
    }
    return false;
  }
  [[nodiscard]] bool publishes(const std::string& id, std::uint64_t frames = 5) const {
    const auto before = system->camera(id).value().frames.published();
    return eventually([&] { return system->camera(id).value().frames.published() >= before + frames; });
  }
  void expect_settled() const {
    const auto total = system->totals();
    EXPECT_EQ(total.in_flight, 0U);
    EXPECT_EQ(total.received, total.published() + total.dropped());
  }

  SteadyClock clock;
  config::Config config;
  std::mutex log_mutex;
  std::vector<std::string> log;
  std::unique_ptr<System> system;
};

TEST_F(SystemTest, EveryPublishedFrameReachesEveryListenerOnce) {
  make({{"a", "paced://200"}, {"b", "paced://100"}}, milliseconds{1});
  std::mutex mutex;
  std::map<std::string, std::set<std::uint64_t>> seen;
  std::atomic<std::uint64_t> calls{0};
  const auto subscription = system->subscribe([&](const sinks::FrameResult& result) {
    const std::lock_guard lock{mutex};
    seen[result.camera].insert(result.seq);
    ++calls;
    const auto& at = result.latency;
    EXPECT_EQ(at.queue + at.preprocess + at.inference + at.postprocess, at.total);
    EXPECT_EQ(result.width, 16);
  });
  system->start();
  EXPECT_TRUE(publishes("a", 20));
  EXPECT_TRUE(publishes("b", 20));
  system->stop();
  expect_settled();
  EXPECT_EQ(calls, system->totals().published());
  for (const char* id : {"a", "b"}) {
    const auto status = system->camera(id).value();
    EXPECT_EQ(seen[id].size(), status.frames.published()) << "a frame came twice";
    EXPECT_EQ(status.latency->total.count(), status.frames.published());
    EXPECT_EQ(status.state, media::CameraState::kRemoved);
  }
}

TEST_F(SystemTest, BooksBalanceInEveryReadingUnderOverload) {
  for (const char* id : {"a", "b"}) {
    config.cameras[id] = camera("paced://300");
    config.cameras[id].deadline = milliseconds{60};
  }
  make({}, milliseconds{10});  // 600 frames/s in, 200 out
  system->start();
  for (int i = 0; i < 200; ++i) {
    for (const auto& status : system->cameras()) {
      const auto& frames = status.frames;
      ASSERT_EQ(frames.received, frames.published() + frames.dropped() + frames.in_flight);
      ASSERT_LT(frames.in_flight, 1000U) << "in_flight went below zero";
    }
    std::this_thread::sleep_for(milliseconds{3});
  }
  system->stop();
  expect_settled();
  EXPECT_GT(system->totals().dropped(), 0U);
  EXPECT_GT(system->totals().published(), 0U);
}

TEST_F(SystemTest, CamerasComeAndGoWhileOthersRun) {
  make({{"a", "paced://100"}});
  system->start();
  EXPECT_TRUE(publishes("a"));
  ASSERT_TRUE(system->add_camera("b", camera("paced://100")));
  EXPECT_TRUE(publishes("b"));
  const auto before = system->camera("b").value().frames.received;
  ASSERT_TRUE(system->remove_camera("b"));
  EXPECT_FALSE(system->camera("b"));
  EXPECT_TRUE(publishes("a"));
  const auto a = system->camera("a").value().frames.received;
  EXPECT_GE(system->totals().received, before + a) << "what a removed camera has counted stays in the total";
  system->stop();
  expect_settled();
}

TEST_F(SystemTest, ARemovedCameraHasNoFrameLeft) {
  make({{"a", "paced://200"}}, milliseconds{20});
  system->start();
  EXPECT_TRUE(publishes("a"));
  std::atomic<bool> gone{false};
  const auto subscription = system->subscribe([&](const sinks::FrameResult&) { EXPECT_FALSE(gone); });
  ASSERT_TRUE(system->remove_camera("a"));
  gone = true;
  expect_settled();
  EXPECT_GT(system->totals().received, 0U);
}

TEST_F(SystemTest, ControlsSayWhatIsWrongAndChangeNothing) {
  make({{"a", "paced://100"}});
  system->start();
  auto bad = camera("paced://100");
  bad.classes = {"cra"};
  EXPECT_EQ(system->add_camera("b", bad).error().message,
            "cameras.b.classes: the model has no class 'cra'; did you mean 'car'?");
  EXPECT_EQ(system->add_camera("b", camera("nothing://x")).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(system->add_camera("a", camera("paced://1")).error().message,
            "camera a exists already; change it or choose another id");
  EXPECT_EQ(system->add_camera("../a", camera("paced://1")).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(system->change_camera("b", camera("paced://1")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(system->change_camera("a", bad).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(system->remove_camera("b").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(system->boost("b", Priority::kUrgent, seconds{1}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(system->boost("a", Priority::kUrgent, seconds{0}).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(system->boost("a", Priority::kUrgent, seconds{1}));
  EXPECT_EQ(system->cameras().size(), 1U);
  EXPECT_TRUE(publishes("a"));
}

TEST_F(SystemTest, AnAdjustedCameraKeepsItsConnectionAndItsBooks) {
  make({{"a", "paced://100"}});
  system->start();
  EXPECT_TRUE(publishes("a"));
  const auto before = system->camera("a").value();
  auto next = config.cameras["a"];
  next.confidence = 0.6;
  next.priority = Priority::kUrgent;
  ASSERT_TRUE(system->change_camera("a", next));
  const auto adjusted = system->camera("a").value();
  EXPECT_EQ(adjusted.number, before.number);
  EXPECT_EQ(adjusted.stream.attempts, before.stream.attempts);
  EXPECT_GE(adjusted.frames.received, before.frames.received);
  EXPECT_EQ(adjusted.config.confidence, 0.6);
  next.source = "paced://50";
  ASSERT_TRUE(system->change_camera("a", next));
  const auto reconnected = system->camera("a").value();
  EXPECT_NE(reconnected.number, before.number);
  EXPECT_GE(reconnected.frames.received, adjusted.frames.received) << "a new connection keeps the books";
  EXPECT_TRUE(publishes("a"));
  system->stop();
  expect_settled();
}

TEST_F(SystemTest, ApplyTouchesOnlyWhatChangedAndRefusesWhole) {
  make({{"a", "paced://100"}, {"b", "paced://100"}, {"c", "paced://100"}});
  system->start();
  for (const char* id : {"a", "b", "c"}) EXPECT_TRUE(publishes(id));
  const auto a = system->camera("a").value();
  auto next = config;
  next.cameras.erase("b");
  next.cameras["c"].fps = 5;
  next.cameras["d"] = camera("paced://100");
  next.model.path = "other.onnx";
  auto broken = next;
  broken.cameras["e"] = camera("paced://100");
  broken.cameras["e"].classes = {"unicorn"};
  EXPECT_THROW((void)system->apply(broken), ConfigError);
  EXPECT_EQ(system->cameras().size(), 3U) << "a refused configuration changes nothing";
  const auto changes = system->apply(next);
  EXPECT_THAT(changes.removed, testing::ElementsAre("b"));
  EXPECT_THAT(changes.adjusted, testing::ElementsAre("c"));
  EXPECT_THAT(changes.added, testing::ElementsAre("d"));
  EXPECT_THAT(changes.at_start, testing::ElementsAre("model.path"));
  EXPECT_TRUE(publishes("d"));
  EXPECT_EQ(system->camera("a").value().number, a.number);
  EXPECT_FALSE(system->camera("b"));
  system->stop();
  expect_settled();
}

TEST_F(SystemTest, DisabledCamerasAreNotConnected) {
  config.cameras["off"] = camera("paced://100");
  config.cameras["off"].enabled = false;
  make({{"on", "paced://100"}});
  system->start();
  EXPECT_FALSE(system->camera("off"));
  auto enabled = config.cameras["off"];
  enabled.enabled = true;
  ASSERT_TRUE(system->change_camera("off", enabled));
  EXPECT_TRUE(publishes("off"));
  ASSERT_TRUE(system->change_camera("off", config.cameras["off"]));
  EXPECT_FALSE(system->camera("off"));
}

TEST_F(SystemTest, TheSnapshotIsTheNewestResultWithItsPicture) {
  make({{"a", "paced://100"}});
  EXPECT_FALSE(system->snapshot("a"));
  system->start();
  EXPECT_TRUE(publishes("a"));
  const auto snapshot = system->snapshot("a").value();
  EXPECT_EQ(snapshot.result.camera, "a");
  ASSERT_EQ(snapshot.result.detections.size(), 1U);
  EXPECT_EQ(*snapshot.image.planes[0].data, static_cast<std::uint8_t>(snapshot.result.seq))
      << "the picture belongs to another frame";
  EXPECT_EQ(snapshot.result.detections[0].box.x1, static_cast<float>(*snapshot.image.planes[0].data));
  EXPECT_FALSE(system->snapshot("b"));
}

TEST_F(SystemTest, WhoHearsOfAResultCanHaveItsPicture) {
  make({{"a", "paced://100"}});
  std::atomic<int> heard{0};
  std::atomic<int> without{0};
  const auto subscription = system->subscribe([&](const sinks::FrameResult& result) {
    const auto snapshot = system->snapshot("a");
    if (!snapshot || snapshot->result.seq < result.seq) ++without;
    ++heard;
  });
  system->start();
  EXPECT_TRUE(eventually([&] { return heard >= 20; }));
  system->stop();
  EXPECT_EQ(without, 0);
}

/// A decoder whose pictures lie on a card: the host gets them by download() alone.
class CardDecoder final : public media::Decoder {
 public:
  static inline std::atomic<int> downloads{0};

  Result<void> open(const media::StreamInfo&) override { return {}; }
  void send(const media::Packet& packet, media::Need) override { arrived_ = packet.arrived_at; }
  void finish() override {}
  media::DecodeEvent receive(Frame& frame) override {
    if (!arrived_) return media::DecodeEvent::kNeedPacket;
    frame.captured_at = *std::exchange(arrived_, std::nullopt);
    frame.image.width = frame.image.height = 16;
    frame.image.space = MemorySpace::kDevice;
    frame.image.device = 0;
    frame.pixels = StorageRef(new Picture);
    ++stats_.frames;
    return media::DecodeEvent::kFrame;
  }
  void set_skip(media::SkipLevel) noexcept override {}
  media::DecoderStats stats() const noexcept override {
    auto stats = stats_;
    stats.place = media::DecodePlace::kGpu;
    stats.reason = media::DecodeReason::kShared;
    return stats;
  }

 private:
  class Picture final : public Storage {
   public:
    Result<void> download(std::uint8_t* nv12) override {
      ++downloads;
      std::fill_n(nv12, 16 * 16 * 3 / 2, std::uint8_t{77});
      return {};
    }

   private:
    void recycle() noexcept override { delete this; }
  };
  std::optional<TimePoint> arrived_;
  media::DecoderStats stats_;
};

class OnACard : public SystemTest {
 protected:
  /// All cameras decode on the back end's card.
  void make_on_card(std::unique_ptr<engine::Backend> backend) {
    std::vector<std::unique_ptr<engine::Backend>> backends;
    backends.push_back(std::move(backend));
    system = std::make_unique<System>(
        config, std::move(backends), clock,
        [this](Severity, std::string_view text) {
          const std::lock_guard lock{log_mutex};
          log.emplace_back(text);
        },
        [](const media::DecoderOptions&, int) { return std::make_unique<CardDecoder>(); });
  }
};

TEST_F(OnACard, PicturesAreBroughtToTheHostOnlyWhileSomebodyAsks) {
  config.cameras["a"] = camera("paced://100");
  make_on_card(std::make_unique<FakeBackend>());
  system->start();
  EXPECT_TRUE(publishes("a"));
  EXPECT_EQ(CardDecoder::downloads, 0);
  EXPECT_FALSE(system->snapshot("a")) << "the first question only says that somebody watches";
  EXPECT_TRUE(eventually([&] { return system->snapshot("a").has_value(); }));
  const auto snapshot = system->snapshot("a").value();
  EXPECT_EQ(snapshot.image.space, MemorySpace::kHost);
  EXPECT_EQ(snapshot.image.planes[0].data[0], 77);
  EXPECT_EQ(system->camera("a")->stream.decoded_on, media::DecodePlace::kGpu);
  EXPECT_EQ(system->camera("a")->stream.decoded_there, media::DecodeReason::kShared);
  const std::lock_guard lock{log_mutex};
  EXPECT_THAT(log, testing::Contains("camera a: decoded on the GPU: shared"));
}

TEST_F(OnACard, APictureThatShowsNothingIsNoticedByTheCard) {
  config.cameras["a"] = camera("paced://100");
  config.cameras["a"].picture_check = milliseconds{50};
  config.cameras["off"] = camera("paced://100");
  config.cameras["off"].picture_check = Duration{};
  auto card = std::make_unique<FakeBackend>();
  card->become_card(0);
  const FakeBackend& answers = *card;
  const int downloads = CardDecoder::downloads;
  make_on_card(std::move(card));
  system->start();
  ASSERT_TRUE(eventually([&] { return system->camera("a")->picture.has_value(); }));
  EXPECT_TRUE(eventually([&] { return system->camera("a")->frames.published() >= 50; }));
  const auto status = system->camera("a").value();
  EXPECT_TRUE(status.picture->covered);
  EXPECT_FLOAT_EQ(status.picture->brightness, 0.25F);
  EXPECT_FALSE(system->camera("off")->picture) << "nobody wanted to know";
  EXPECT_LT(answers.measured(), static_cast<int>(status.frames.published()) / 2) << "now and then, not each";
  EXPECT_EQ(CardDecoder::downloads, downloads) << "measured where the picture lies";
  system->stop();
  const std::lock_guard lock{log_mutex};
  EXPECT_THAT(log, testing::Contains("camera a: the picture shows nearly nothing; is the lens covered?").Times(1));
}

TEST_F(SystemTest, ResolutionsMixAndEachFindsAShape) {
  make({{"wide", "paced://100"}, {"tall", "paced://100/upright"}});
  system->start();
  EXPECT_TRUE(publishes("wide"));
  EXPECT_TRUE(publishes("tall"));
}

TEST_F(SystemTest, ACancelledSubscriptionIsNeverCalledAgain) {
  make({{"a", "paced://500"}});
  system->start();
  for (int i = 0; i < 50; ++i) {
    auto alive = std::make_unique<std::atomic<bool>>(true);
    auto subscription = system->subscribe([&flag = *alive](const sinks::FrameResult&) { EXPECT_TRUE(flag); });
    std::this_thread::sleep_for(milliseconds{2});
    subscription.reset();
    *alive = false;
  }
}

TEST_F(SystemTest, ACameraThatShowsNothingIsNoticedAndNamed) {
  config.cameras["off"] = camera("paced://50");
  config.cameras["off"].picture_check = Duration{};
  config.cameras["often"] = camera("paced://50");
  config.cameras["often"].picture_check = milliseconds{20};
  make({});
  system->start();
  EXPECT_TRUE(publishes("often"));
  EXPECT_TRUE(publishes("off"));
  EXPECT_FALSE(system->camera("off")->picture) << "nobody wanted to know";
  ASSERT_TRUE(system->camera("often")->picture);
  EXPECT_TRUE(system->camera("often")->picture->covered) << "pictures of one grey";
  EXPECT_FALSE(system->camera("often")->picture->frozen) << "each of another";
  EXPECT_NEAR(system->camera("often")->picture->contrast, 0, 0.001);
  system->stop();
  const std::lock_guard lock{log_mutex};
  EXPECT_THAT(log, testing::Contains("camera often: the picture shows nearly nothing; is the lens covered?").Times(1));
}

TEST_F(SystemTest, SecretsAreNeverShownOrLogged) {
  media::register_scheme("secret", [](const media::SourceConfig&) -> std::unique_ptr<media::Source> {
    return std::make_unique<PacedSource>("paced://100");
  });
  make({{"a", "secret://viewer:hunter2@192.0.2.1/stream"}});
  system->start();
  EXPECT_TRUE(publishes("a"));
  EXPECT_EQ(system->camera("a").value().config.source, "secret://viewer:***@192.0.2.1/stream");
  system->stop();
  const std::lock_guard lock{log_mutex};
  for (const auto& line : log) EXPECT_EQ(line.find("hunter2"), std::string::npos) << line;
}

}  // namespace
}  // namespace gantry::app
