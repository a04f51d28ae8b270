#include "gantry/scene/options.hpp"

#include <gtest/gtest.h>

#include "gantry/core/errors.hpp"

namespace gantry::scene {
namespace {

TEST(SceneUri, ReadsEveryKey) {
  const SceneOptions o = parse_scene_uri(
      "scene://"
      "junction?seed=7&camera=south-mast&density=0.6&hour=18.5&weather=rain&fps=15&size=352x288&for=30s&pace=live"
      "&incidents=red_light@10,stopped&truth=%2Ftmp%2Ft.jsonl&name=main%20street");
  EXPECT_EQ(o.world.scene, "junction");
  EXPECT_EQ(o.world.seed, 7U);
  EXPECT_EQ(o.view.camera, 2);
  EXPECT_DOUBLE_EQ(o.world.density, 0.6);
  EXPECT_DOUBLE_EQ(o.world.hour, 18.5);
  EXPECT_EQ(o.view.weather, Weather::kRain);
  EXPECT_DOUBLE_EQ(o.view.fps, 15);
  EXPECT_EQ(o.view.width, 352);
  EXPECT_EQ(o.view.height, 288);
  EXPECT_EQ(o.length, std::chrono::seconds(30));
  EXPECT_TRUE(o.live);
  ASSERT_EQ(o.world.incidents.size(), 2U);
  EXPECT_EQ(o.world.incidents[0].kind, Incident::kRedLight);
  EXPECT_DOUBLE_EQ(o.world.incidents[0].at_s, 10);
  EXPECT_EQ(o.world.incidents[1].kind, Incident::kStopped);
  EXPECT_EQ(o.truth_path, "/tmp/t.jsonl");
  EXPECT_EQ(o.camera_name, "main street");
}

TEST(SceneUri, EndlessScenesAreLiveAndClipsAreNot) {
  EXPECT_TRUE(parse_scene_uri("scene://suburb").live);
  EXPECT_FALSE(parse_scene_uri("scene://suburb?for=2").live);
  EXPECT_EQ(parse_scene_uri("scene://suburb?camera=random").view.camera, -1);
}

TEST(SceneUri, RefusesWithTheKeyAndWhatIsWanted) {
  const struct {
    const char* uri;
    const char* part;
  } kBad[] = {
      {"scene://atlantis", "the scenes are junction motorway suburb"},
      {"scene://junction?camera=99", "camera=99 can't be used; a number from 0 to"},
      {"scene://junction?hour=25", "hour=25 can't be used; a number from 0 to 24 is wanted"},
      {"scene://junction?density=x", "density=x can't be used"},
      {"scene://junction?weather=snow", "one of clear, overcast, rain, fog is wanted"},
      {"scene://junction?size=641x360", "both sides must be even"},
      {"scene://junction?size=640", "size="},
      {"scene://junction?fps=0", "fps=0 can't be used"},
      {"scene://junction?incidents=party@3", "one of red_light, wrong_way, speeding, stopped, queue is wanted"},
      {"scene://junction?pace=slow", "live or fast is wanted"},
      {"scene://junction?colour=red", "the key \"colour\" is not known; known are seed"},
      {"rtsp://junction", "scene://SCENE?key=value"},
  };
  for (const auto& bad : kBad) {
    try {
      (void)parse_scene_uri(bad.uri);
      ADD_FAILURE() << bad.uri << " was taken";
    } catch (const MediaError& error) {
      EXPECT_NE(std::string(error.what()).find(bad.part), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gantry::scene
