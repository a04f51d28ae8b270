#include "scene/world.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

namespace gantry::scene {
namespace {

/// Simulated seconds of the soak: short by default; GANTRY_SCENE_SECONDS=10000 is the long form (make soak).
std::int64_t soak_seconds() {
  const char* text = std::getenv("GANTRY_SCENE_SECONDS");
  return text != nullptr ? std::atoll(text) : 200;
}

WorldOptions busy(const std::string& scene, std::uint64_t seed) {
  WorldOptions o;
  o.scene = scene;
  o.seed = seed;
  o.hour = 8;
  o.density = 1.1;
  const auto all = {Incident::kRedLight, Incident::kWrongWay, Incident::kSpeeding, Incident::kStopped,
                    Incident::kQueue};
  double at = 5;
  for (const Incident kind : all) o.incidents.push_back({kind, at += 10});
  return o;
}

class EveryScene : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(World, EveryScene, testing::ValuesIn(scene_names()));

TEST_P(EveryScene, NoTwoSolidVehiclesOverlap) {
  World world(busy(GetParam(), 11));
  for (std::int64_t t = 0; t <= soak_seconds() * 1000; t += 100) {
    world.advance_to(t);
    const auto pairs = world.overlaps();
    ASSERT_TRUE(pairs.empty()) << "at " << t << " ms: " << pairs.front().first << " and " << pairs.front().second;
  }
  EXPECT_GT(world.counts().left, 20U) << "traffic flows";
}

TEST_P(EveryScene, NobodyOnFootIsRunOver) {
  World world(busy(GetParam(), 12));
  Snapshot now;
  std::uint64_t people = 0;
  for (std::int64_t t = 0; t <= 150'000; t += 250) {
    world.advance_to(t);
    world.snapshot(now);
    for (const ObjectState& person : now.objects) {
      if (person.kind != BodyKind::kPerson) continue;
      ++people;
      const Footprint feet{{person.x, person.y}, {1, 0}, 0.2, 0.2};
      for (const ObjectState& o : now.objects) {
        if (o.kind == BodyKind::kPerson || o.lane < 0) continue;
        const BodySize& size = body_size(o.kind);
        const Footprint body{{o.x, o.y}, unit(o.heading), size.length / 2, size.width / 2};
        ASSERT_FALSE(overlap(feet, body)) << "at " << t << " ms: person " << person.id << " and vehicle " << o.id;
      }
    }
  }
  if (GetParam() != "motorway") {
    EXPECT_GT(people, 100U);
  }
}

TEST_P(EveryScene, SameSeedSameWorldHoweverItIsStepped) {
  const WorldOptions options = busy(GetParam(), 5);
  World fine(options, 20);
  World coarse(options, 20);
  for (std::int64_t t = 0; t <= 20'000; t += 7) fine.advance_to(t);
  fine.advance_to(20'000);
  coarse.advance_to(20'000);
  Snapshot a;
  Snapshot b;
  fine.snapshot(a);
  coarse.snapshot(b);
  ASSERT_EQ(a.objects.size(), b.objects.size());
  ASSERT_GT(a.objects.size(), 5U);
  for (std::size_t i = 0; i < a.objects.size(); ++i) {
    EXPECT_EQ(a.objects[i].id, b.objects[i].id);
    EXPECT_EQ(a.objects[i].x, b.objects[i].x);
    EXPECT_EQ(a.objects[i].y, b.objects[i].y);
    EXPECT_EQ(a.objects[i].speed, b.objects[i].speed);
  }
  WorldOptions other = options;
  other.seed = 6;
  World different(other, 20);
  different.advance_to(20'000);
  different.snapshot(b);
  EXPECT_TRUE(a.objects.size() != b.objects.size() || a.objects.front().x != b.objects.front().x ||
              a.objects.back().x != b.objects.back().x);
}

TEST_P(EveryScene, IncidentsHappenWhenTheyAreAskedFor) {
  World world(busy(GetParam(), 21));
  std::set<std::string> seen;
  std::vector<WorldEvent> events;
  for (std::int64_t t = 0; t <= 300'000; t += 1000) {
    world.advance_to(t);
    world.take_events(events);
    for (const WorldEvent& e : events) {
      if (e.kind == EventKind::kViolation) {
        EXPECT_GE(e.at_ms, 5'000) << e.what;
        EXPECT_NE(e.object, 0U);
        seen.insert(e.what);
      }
    }
  }
  std::set<std::string> wanted{"wrong_way", "speeding", "stopped", "queue"};
  if (GetParam() == "junction") wanted.insert("red_light");  // the others have no lights
  EXPECT_EQ(seen, wanted);
}

TEST(World, WithoutIncidentsNobodyRunsARedLight) {
  WorldOptions o;
  o.hour = 17;
  o.density = 1;
  o.seed = 3;
  World world(o);
  world.advance_to(200'000);
  std::vector<WorldEvent> events;
  world.take_events(events);
  std::map<EventKind, int> count;
  for (const WorldEvent& e : events) ++count[e.kind];
  EXPECT_EQ(count[EventKind::kViolation], 0);
  EXPECT_GT(count[EventKind::kCrossing], 60);
  EXPECT_GE(count[EventKind::kSignal], 2 * 12) << "two cycles of four groups with three colours";
}

TEST(World, DemandFollowsTheHour) {
  const auto spawned = [](double hour) {
    WorldOptions o;
    o.scene = "motorway";
    o.hour = hour;
    o.density = 0.6;
    World world(o, 0);
    world.advance_to(120'000);
    return world.counts().spawned;
  };
  EXPECT_GT(spawned(8), 4 * spawned(3));
}

TEST(World, InterpolationLiesBetweenItsSnapshots) {
  WorldOptions o;
  o.scene = "motorway";
  World world(o, 30);
  Snapshot a;
  Snapshot b;
  Snapshot exact;
  Snapshot between;
  world.snapshot(a);
  world.advance_to(10);
  world.snapshot(exact);
  world.advance_to(20);
  world.snapshot(b);
  interpolate(a, b, 10, between);
  ASSERT_EQ(between.objects.size(), exact.objects.size());
  for (std::size_t i = 0; i < exact.objects.size(); ++i) {
    EXPECT_NEAR(between.objects[i].x, exact.objects[i].x, 0.002);
    EXPECT_NEAR(between.objects[i].y, exact.objects[i].y, 0.002);
  }
}

}  // namespace
}  // namespace gantry::scene
