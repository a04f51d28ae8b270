#include "gantry/media/memory_clip.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "media/support.hpp"

namespace gantry::media {
namespace {

using testing::ffmpeg;

class MemoryClipTest : public ::testing::Test {
 protected:
  std::shared_ptr<const MemoryClip> clip(const std::string& options) {
    const auto path = folder_ / "clip.mp4";
    EXPECT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=96x64:rate=25:duration=0.8 -pix_fmt yuv420p " + options + " " +
                       path.string()));
    return MemoryClip::load(path.string());
  }
  testing::TemporaryFolder folder_;
};

TEST_F(MemoryClipTest, KnowsWhatItHolds) {
  const auto loaded = clip("-c:v libx264 -bf 0");
  EXPECT_EQ(loaded->width(), 96);
  EXPECT_EQ(loaded->height(), 64);
  EXPECT_EQ(loaded->codec(), "h264");
  EXPECT_EQ(loaded->packets(), 20);
  EXPECT_DOUBLE_EQ(loaded->frame_rate(), 25);
}

TEST_F(MemoryClipTest, PlaysRoundAfterRoundOnOneTimeAxis) {
  for (const char* options : {"-c:v libx264 -bf 0", "-c:v libx264 -bf 2"}) {
    const auto source = clip(options)->play(1000, {});
    const auto decoder = make_ffmpeg_decoder({1});
    std::vector<Duration> pts;
    int lost = 0, changes = 0;
    for (int i = 0; i < 50; ++i) {
      auto packet = source->next();
      ASSERT_TRUE(packet);
      changes += packet->stream_changed;
      if (packet->stream_changed) {
        ASSERT_TRUE(decoder->open(source->stream()));
      }
      decoder->send(*packet);
      Frame frame;
      for (DecodeEvent event; (event = decoder->receive(frame)) != DecodeEvent::kNeedPacket;) {
        if (event == DecodeEvent::kFrame) pts.push_back(frame.pts);
        lost += event == DecodeEvent::kLost;
      }
    }
    EXPECT_EQ(lost, 0) << options;
    EXPECT_EQ(changes, 1);
    ASSERT_GE(pts.size(), 46) << options;
    for (std::size_t i = 0; i < pts.size(); ++i) EXPECT_EQ(pts[i], std::chrono::milliseconds(i)) << options;
  }
}

TEST_F(MemoryClipTest, KeepsItsPaceAndCountsTheReadersLateness) {
  const auto loaded = clip("-c:v libx264 -bf 0");
  const auto source = loaded->play(100, std::chrono::milliseconds(30));
  const auto start = SteadyClock{}.now();
  const auto first = source->next();
  ASSERT_TRUE(first);
  EXPECT_GE(SteadyClock{}.now() - start, std::chrono::milliseconds(30));
  // What opening a decoder takes is not made up for.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const TimePoint second_at = source->next()->arrived_at;
  EXPECT_GE(second_at - first->arrived_at, std::chrono::milliseconds(50));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(source->next()->arrived_at - second_at, std::chrono::milliseconds(10 * i));
}

TEST_F(MemoryClipTest, CancelsWhileItWaits) {
  const auto source = clip("-c:v libx264 -bf 0")->play(0.01, std::chrono::hours(1));
  std::thread canceller([&] { source->cancel(); });
  const auto packet = source->next();
  canceller.join();
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().code, ErrorCode::kCancelled);
}

TEST_F(MemoryClipTest, WhatIsNoVideoIsAnErrorThatNamesIt) {
  testing::write(folder_ / "no.mp4", {1, 2, 3});
  EXPECT_THROW((void)MemoryClip::load((folder_ / "no.mp4").string()), MediaError);
  EXPECT_THROW((void)MemoryClip::load((folder_ / "missing.mp4").string()), MediaError);
}

}  // namespace
}  // namespace gantry::media
