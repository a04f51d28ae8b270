#include "gantry/scene/source.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "gantry/core/errors.hpp"
#include "scene/frame_buffers.hpp"

namespace gantry::scene {
namespace {

std::unique_ptr<media::Source> open_scene(const std::string& query, media::Pacing pacing = media::Pacing::kFast) {
  register_scene_sources();
  media::SourceConfig config;
  config.url = "scene://suburb?size=128x96&seed=2&" + query;
  config.pacing = pacing;
  return media::make_source(config);
}

std::vector<std::uint8_t> bytes_of(const media::Packet& packet) {
  const auto& raw = std::get<media::RawPayload>(packet.payload);
  return {raw.image.planes[0].data, raw.image.planes[0].data + 128 * 96 * 3 / 2};
}

TEST(SceneSource, GivesTheClipThatWasAskedFor) {
  auto source = open_scene("fps=5&for=1s");
  ASSERT_TRUE(source->open());
  EXPECT_EQ(source->stream().codec, "raw");
  EXPECT_EQ(source->stream().width, 128);
  EXPECT_EQ(source->stream().frames, 5);
  EXPECT_FALSE(source->stream().live);
  for (int i = 0; i < 5; ++i) {
    auto packet = source->next();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->pts, std::chrono::milliseconds(200 * i));
    EXPECT_EQ(packet->stream_changed, i == 0);
    const auto& raw = std::get<media::RawPayload>(packet->payload);
    EXPECT_EQ(raw.image.format, PixelFormat::kNv12);
    EXPECT_TRUE(raw.pixels);
  }
  const auto end = source->next();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kEndOfStream);
}

TEST(SceneSource, SameAddressSameBytes) {
  auto a = open_scene("fps=4&for=1s");
  auto b = open_scene("fps=4&for=1s");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(bytes_of(*a->next()), bytes_of(*b->next()));
}

TEST(SceneSource, PixelsOutliveTheSource) {
  StorageRef kept;
  const std::uint8_t* data = nullptr;
  std::vector<std::uint8_t> before;
  {
    auto source = open_scene("fps=4&for=1s");
    auto packet = source->next();
    before = bytes_of(*packet);
    auto& raw = std::get<media::RawPayload>(packet->payload);
    data = raw.image.planes[0].data;
    kept = raw.pixels;
  }
  EXPECT_TRUE(std::equal(before.begin(), before.end(), data));
}

TEST(SceneSource, LiveCamerasArePacedAndCanBeCancelled) {
  auto source = open_scene("fps=20", media::Pacing::kLive);
  ASSERT_TRUE(source->open());
  EXPECT_TRUE(source->stream().live);
  const auto start = SteadyClock{}.now();
  auto last = source->next();
  ASSERT_TRUE(last);
  for (int i = 0; i < 4; ++i) {
    auto packet = source->next();
    ASSERT_TRUE(packet);
    EXPECT_GE(packet->pts - last->pts, std::chrono::milliseconds(50) - std::chrono::microseconds(1));
    last = std::move(packet);
  }
  EXPECT_GE(SteadyClock{}.now() - start, std::chrono::milliseconds(190));
  std::thread other([&] { source->cancel(); });
  while (source->next()) {
  }
  other.join();
  EXPECT_EQ(source->next().error().code, ErrorCode::kCancelled);
}

TEST(SceneSource, WritesItsTruth) {
  const auto path = std::filesystem::path(testing::TempDir()) / "gantry_scene_source_truth.jsonl";
  {
    auto source = open_scene("fps=4&for=1s&truth=" + path.string());
    while (source->next()) {
    }
  }
  std::ifstream file(path);
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) ++lines;
  EXPECT_EQ(lines, 5) << "the camera and four frames";
  std::filesystem::remove(path);
}

TEST(SceneSource, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(open_scene("weather=snow"), MediaError);
}

TEST(FrameBuffers, GrowToWhatIsOutAndNoFurther) {
  auto pool = std::make_shared<FrameBuffers>(64);
  for (int round = 0; round < 10; ++round) {
    auto a = pool->lease();
    auto b = pool->lease();
    EXPECT_NE(a.data, b.data);
  }
  EXPECT_EQ(pool->made(), 2U);
}

TEST(FrameBuffers, ACrowdThatWaitedOnceIsNotKept) {
  auto pool = std::make_shared<FrameBuffers>(64);
  std::vector<FrameBuffers::Lease> out;
  for (int i = 0; i < 40; ++i) {
    out.push_back(pool->lease());
    out.back().data[63] = static_cast<std::uint8_t>(i);
  }
  EXPECT_EQ(pool->made(), 40U);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)].data[63], i) << "two frames share a block";
  out.erase(out.begin() + 5, out.begin() + 38);
  EXPECT_EQ(pool->made(), 7 + FrameBuffers::kSpare);
  std::weak_ptr<FrameBuffers> watched = pool;
  pool.reset();
  EXPECT_FALSE(watched.expired()) << "frames outlive their source";
  out.clear();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace gantry::scene
