#include "gantry/scene/playback.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gantry/core/errors.hpp"

namespace gantry::scene {
namespace {

SceneOptions small(const std::string& scene, const std::string& more = "") {
  return parse_scene_uri("scene://" + scene + "?seed=7&hour=17&density=1&size=192x108&fps=10&for=1s" + more);
}

std::uint64_t fnv(const void* data, std::size_t bytes, std::uint64_t h) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) h = (h ^ p[i]) * 0x100000001B3ULL;
  return h;
}

struct Digest {
  std::uint64_t pictures = 0xCBF29CE484222325ULL;
  std::uint64_t truth = 0xCBF29CE484222325ULL;
};

Digest digest(const SceneOptions& options, int frames) {
  Playback playback(options);
  std::vector<std::uint8_t> pixels(playback.frame_bytes());
  Digest d;
  std::string line;
  for (int i = 0; i < frames; ++i) {
    playback.draw(i * 100.0, i * 100.0, static_cast<std::uint64_t>(i), pixels.data());
    d.pictures = fnv(pixels.data(), pixels.size(), d.pictures);
    line.clear();
    append_truth_jsonl(playback.truth(), line);
    d.truth = fnv(line.data(), line.size(), d.truth);
  }
  return d;
}

// Written down on one machine: any other machine, compiler or optimisation must give the same bytes. A change of the
// simulator or of its pictures changes them; write the new ones down then.
TEST(Playback, SameBytesOnEveryMachine) {
  const Digest day = digest(small("junction"), 5);
  const Digest night = digest(small("junction", "&camera=1&hour=22&weather=rain"), 3);
  EXPECT_EQ(day.truth, 0xE0E11394C23D8525ULL);
  EXPECT_EQ(day.pictures, 0xC9EC446E2CC0AC12ULL);
  EXPECT_EQ(night.truth, 0x9B7AC05656B1B19EULL);
  EXPECT_EQ(night.pictures, 0x1EA91112FE824261ULL);
}

TEST(Playback, TruthDoesNotDependOnTheFrameRate) {
  Playback slow(small("junction"));
  Playback fast(small("junction"));
  std::vector<std::uint8_t> pixels(slow.frame_bytes());
  std::size_t slow_events = 0;
  std::size_t fast_events = 0;
  for (int i = 0; i <= 5; ++i) {
    slow.draw(i * 1000.0, i * 1000.0, static_cast<std::uint64_t>(i), pixels.data());
    slow_events += slow.truth().events.size();
  }
  for (int i = 0; i <= 85; ++i) {
    fast.draw(i * 5000.0 / 85, i * 5000.0 / 85, static_cast<std::uint64_t>(i), pixels.data());
    fast_events += fast.truth().events.size();
  }
  EXPECT_EQ(slow_events, fast_events);
  ASSERT_EQ(slow.truth().objects.size(), fast.truth().objects.size());
  for (std::size_t i = 0; i < slow.truth().objects.size(); ++i) {
    EXPECT_EQ(slow.truth().objects[i].id, fast.truth().objects[i].id);
    EXPECT_EQ(slow.truth().objects[i].x, fast.truth().objects[i].x);
    EXPECT_EQ(slow.truth().objects[i].speed, fast.truth().objects[i].speed);
  }
}

TEST(Playback, CamerasOfOneWorldSeeTheSameVehicles) {
  const auto feed = std::make_shared<WorldFeed>(small("junction").world);
  Playback a(small("junction", "&camera=0"), feed);
  Playback b(small("junction", "&camera=overhead"), feed);
  std::vector<std::uint8_t> pixels(a.frame_bytes());
  int shared = 0;
  for (int i = 0; i < 5; ++i) {
    a.draw(i * 500.0, i * 500.0, static_cast<std::uint64_t>(i), pixels.data());
    b.draw(i * 500.0, i * 500.0, static_cast<std::uint64_t>(i), pixels.data());
    for (const ObjectTruth& p : a.truth().objects) {
      for (const ObjectTruth& q : b.truth().objects) {
        if (p.id != q.id) continue;
        ++shared;
        EXPECT_EQ(p.x, q.x);
        EXPECT_EQ(p.class_id, q.class_id);
      }
    }
  }
  EXPECT_GT(shared, 3);
}

TEST(Playback, TruthIsJsonWithEverythingInIt) {
  Playback playback(small("junction"));
  const auto camera = nlohmann::json::parse(playback.camera_json());
  EXPECT_EQ(camera.at("homography").size(), 9U);
  EXPECT_EQ(camera.at("classes").size(), 6U);
  EXPECT_EQ(camera.at("classes")[3], "motorcycle");
  std::vector<std::uint8_t> pixels(playback.frame_bytes());
  playback.draw(0, 0, 0, pixels.data());
  playback.draw(6000, 6000, 1, pixels.data());
  std::string line;
  append_truth_jsonl(playback.truth(), line);
  const auto frame = nlohmann::json::parse(line);
  EXPECT_EQ(frame.at("seq"), 1);
  EXPECT_EQ(frame.at("width"), 192);
  ASSERT_FALSE(frame.at("objects").empty());
  for (const auto& o : frame.at("objects")) {
    EXPECT_EQ(o.at("class"), kClassNames[o.at("class_id").get<std::size_t>()]);
    EXPECT_GE(o.at("occlusion").get<double>(), 0);
    EXPECT_LE(o.at("occlusion").get<double>(), 1);
    if (o.at("class") != "person") {
      EXPECT_FALSE(o.at("lane").get<std::string>().empty());
    }
  }
}

TEST(Playback, RandomCamerasStandWhereTheirSeedSays) {
  const auto position = [](const std::string& seed) {
    return nlohmann::json::parse(Playback(small("suburb", "&camera=random&camera_seed=" + seed)).camera_json())
        .at("position_m");
  };
  EXPECT_EQ(position("4"), position("4"));
  EXPECT_NE(position("4"), position("5"));
}

}  // namespace
}  // namespace gantry::scene
