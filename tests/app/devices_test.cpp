// Several devices: homes by load, a lost one's cameras, draining, coming back. The cards are fakes.
#include <gtest/gtest.h>

#include <map>

#include "app/fakes.hpp"
#include "app/served_cameras.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FakeBackend;
using test::PacedSource;

/// Says that its pictures lie on a card.
class CardDecoder final : public media::Decoder {
 public:
  explicit CardDecoder(int card) : card_(card), inner_(media::make_ffmpeg_decoder()) {}
  Result<void> open(const media::StreamInfo& stream) override { return inner_->open(stream); }
  void send(const media::Packet& packet, media::Need need) override { inner_->send(packet, need); }
  void finish() override { inner_->finish(); }
  media::DecodeEvent receive(Frame& frame) override {
    const auto event = inner_->receive(frame);
    if (event != media::DecodeEvent::kFrame) return event;
    frame.image.space = MemorySpace::kDevice;
    frame.image.device = card_;
    return event;
  }
  void set_skip(media::SkipLevel level) noexcept override { inner_->set_skip(level); }
  media::DecoderStats stats() const noexcept override {
    auto stats = inner_->stats();
    stats.place = media::DecodePlace::kGpu;
    stats.reason = media::DecodeReason::kShared;
    return stats;
  }

 private:
  const int card_;
  const std::unique_ptr<media::Decoder> inner_;
};

class DevicesTest : public ServedCameras {
 protected:
  static void SetUpTestSuite() {
    media::register_scheme("steady", [](const auto&) { return std::make_unique<PacedSource>("paced://25"); });
  }
  /// @param same_card all of them are parts of card 0
  void start(int devices, int cameras, bool same_card = false) {
    std::vector<std::unique_ptr<engine::Backend>> backends;
    for (int i = 0; i < devices; ++i) {
      auto backend = std::make_unique<FakeBackend>(2, 8, [](const auto&) { return milliseconds{2}; });
      backend->become_card(same_card ? 0 : i);
      fakes_.push_back(backend.get());
      backends.push_back(std::move(backend));
    }
    serve(
        std::move(backends), [](auto...) {},
        [same_card](const media::DecoderOptions&, int place) -> std::unique_ptr<media::Decoder> {
          if (place == System::kOnCpu) return media::make_ffmpeg_decoder();
          return std::make_unique<CardDecoder>(same_card ? 0 : place);
        },
        "steady://x", cameras);
  }
  void TearDown() override {
    ServedCameras::TearDown();
    EXPECT_EQ(PacedSource::alive, 0);
  }

  std::vector<FakeBackend*> fakes_;
};

TEST_F(DevicesTest, CamerasSpreadEvenlyAndRunWhereTheyAreDecoded) {
  start(2, 8);
  EXPECT_EQ(homes(), (std::map<std::string, int>{{"cuda:0", 4}, {"cuda:1", 4}}));
  const auto since = clock_.now();
  EXPECT_TRUE(eventually([&] { return answered_since(since) == 8; }));
  for (const auto* fake : fakes_) EXPECT_EQ(fake->strangers(), 0);
}

TEST_F(DevicesTest, ALostDevicesCamerasMoveWithinTwoSeconds) {
  start(3, 9);
  const auto lost_at = clock_.now();
  fakes_[1]->lose();
  ASSERT_TRUE(eventually([&] { return !homes().contains("cuda:1"); }));
  const auto moved_at = clock_.now();
  EXPECT_LE(moved_at - lost_at, seconds{2});
  EXPECT_TRUE(eventually([&] { return answered_since(moved_at) == 9; }, seconds{2})) << "every camera is served again";
  EXPECT_EQ(homes()["cuda:0"] + homes()["cuda:2"], 9);
  bool down = false;
  for (const auto& device : system_->scheduler_report().devices)
    down = down || device.state == scheduler::DeviceState::kDown;
  EXPECT_TRUE(down) << "which readiness reads";
}

TEST_F(DevicesTest, OneCanBeDrainedAndFillsAgain) {
  start(2, 8);
  ASSERT_TRUE(system_->drain("cuda:0", true));
  EXPECT_EQ(homes(), (std::map<std::string, int>{{"cuda:1", 8}}));
  const auto drained_at = clock_.now();
  EXPECT_TRUE(eventually([&] { return answered_since(drained_at + milliseconds{300}) == 8; }));
  ASSERT_TRUE(system_->drain("cuda:0", false));
  EXPECT_TRUE(eventually([&] {
    auto now = homes();
    return now["cuda:0"] >= 3 && now["cuda:1"] >= 3;
  }));
  EXPECT_FALSE(system_->drain("cuda:7", true));
  for (const auto* fake : fakes_) EXPECT_LE(fake->strangers(), 16) << "only what was on its way while cameras moved";
}

TEST_F(DevicesTest, PartsOfOneCardAreDevicesOfTheirOwn) {
  start(2, 6, true);
  EXPECT_EQ(homes(), (std::map<std::string, int>{{"cuda:0", 3}, {"cuda:0#2", 3}}));
  fakes_[0]->lose();
  EXPECT_TRUE(eventually([&] { return homes() == std::map<std::string, int>{{"cuda:0#2", 6}}; }, seconds{2}));
}

TEST_F(DevicesTest, WhereAllAreLostTheBooksStillBalance) {
  start(2, 4);
  for (auto* fake : fakes_) fake->lose();
  EXPECT_TRUE(eventually([&] { return system_->totals()[Outcome::kEngineError] > 0; }));
}

}  // namespace
}  // namespace gantry::app
