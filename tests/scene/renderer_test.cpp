#include "scene/renderer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gantry::scene {
namespace {

constexpr int kWidth = 320;
constexpr int kHeight = 180;

struct Picture {
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(kWidth * kHeight * 3 / 2);
  Nv12 target() { return {bytes.data(), bytes.data() + kWidth * kHeight, kWidth}; }
};

/// An empty plain with one camera 6 m above the ground that looks east along the x axis.
Layout plain() {
  Layout layout;
  layout.extent = 60;
  layout.ground.push_back({Surface::kAsphalt, {{-60, -60}, {60, -60}, {60, 60}, {-60, 60}}});
  layout.cameras.push_back({"test", 0, 0, 6, 25, 0, 0, 50, 0, 0, 0});
  return layout;
}

ObjectState car(std::uint32_t id, float x, float y, BodyKind kind = BodyKind::kSedan) {
  ObjectState o;
  o.id = id;
  o.kind = kind;
  o.look = id * 77;
  o.x = x;
  o.y = y;
  o.lane = 0;
  return o;
}

Renderer renderer(const Layout& layout, double hour = 12, Weather weather = Weather::kClear) {
  return Renderer(layout, layout.cameras.front(), kWidth, kHeight, hour, weather, 25);
}

TEST(Renderer, BoxesFitWhatIsSeen) {
  const Layout layout = plain();
  Renderer r = renderer(layout);
  Picture picture;
  std::vector<Sighting> seen;
  for (int kind = 0; kind < kBodyKindCount; ++kind) {
    Snapshot now;
    now.objects = {car(1, 22, 1, static_cast<BodyKind>(kind))};
    r.draw(now, 0, picture.target(), seen);
    ASSERT_EQ(seen.size(), 1U) << kind;
    const Sighting& s = seen.front();
    EXPECT_NEAR(s.visible.x1, s.full.x1, 1.5) << kind;
    EXPECT_NEAR(s.visible.y1, s.full.y1, 1.5) << kind;
    EXPECT_NEAR(s.visible.x2, s.full.x2, 1.5) << kind;
    EXPECT_NEAR(s.visible.y2, s.full.y2, 1.5) << kind;
    EXPECT_EQ(s.occlusion, 0) << kind;
    EXPECT_EQ(s.truncation, 0) << kind;
    EXPECT_GT(static_cast<float>(s.visible_px), 0.25F * s.visible.area()) << kind;
    // The box agrees with the body's own corners, projected one by one.
    const BodySize& size = body_size(static_cast<BodyKind>(kind));
    float top = 1e9F;
    float bottom = 0;
    for (const float dx : {-0.5F, 0.5F}) {
      for (const float z : {0.0F, static_cast<float>(size.height)}) {
        float u = 0;
        float v = 0;
        r.camera().to_pixels(r.camera().to_camera({22 + dx * static_cast<float>(size.length), 1, z}), u, v);
        top = std::min(top, v);
        bottom = std::max(bottom, v);
      }
    }
    EXPECT_GE(s.full.y1, top - 3) << kind;
    EXPECT_LE(s.full.y2, bottom + 3) << kind;
    EXPECT_GT(s.full.height(), 0.6F * (bottom - top)) << kind;
  }
}

TEST(Renderer, OcclusionIsCountedFromWhatHides) {
  const Layout layout = plain();
  Renderer r = renderer(layout);
  Picture picture;
  std::vector<Sighting> seen;
  Snapshot now;
  now.objects = {car(1, 34, 0), car(2, 24, 0, BodyKind::kBoxTruck), car(3, 30, 7)};
  r.draw(now, 0, picture.target(), seen);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_GT(seen[0].occlusion, 0.6F) << "behind the truck";
  EXPECT_EQ(seen[1].occlusion, 0);
  EXPECT_EQ(seen[2].occlusion, 0);
  EXPECT_LT(seen[0].visible_px, seen[2].visible_px);
}

TEST(Renderer, TruncationIsWhatThePictureCutsOff) {
  const Layout layout = plain();
  Renderer r = renderer(layout);
  Picture picture;
  std::vector<Sighting> seen;
  Snapshot now;
  float u = 0;
  float v = 0;
  float side = 0;
  // Slide a car to the left until its middle stands on the picture's edge.
  for (side = 0; side < 40; side += 0.05F) {
    r.camera().to_pixels(r.camera().to_camera({25, side, 0.7F}), u, v);
    if (u <= 0) break;
  }
  now.objects = {car(1, 25, side)};
  r.draw(now, 0, picture.target(), seen);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_NEAR(seen[0].truncation, 0.5, 0.12);
  EXPECT_EQ(seen[0].visible.x1, 0);
  EXPECT_LT(seen[0].full.x1, 0);
  now.objects = {car(1, 25, side + 8)};
  r.draw(now, 0, picture.target(), seen);
  EXPECT_TRUE(seen.empty());
}

TEST(Renderer, AFrameDoesNotDependOnTheFramesBefore) {
  for (const auto& [hour, weather] : {std::pair{12.0, Weather::kClear}, std::pair{23.0, Weather::kRain}}) {
    const Layout layout = plain();
    Renderer used = renderer(layout, hour, weather);
    Picture a;
    Picture b;
    std::vector<Sighting> seen;
    Snapshot now;
    for (int i = 0; i < 4; ++i) {
      now.objects = {car(1, 14.0F + 6 * static_cast<float>(i), -3), car(2, 30, 4.0F - static_cast<float>(i))};
      used.draw(now, static_cast<std::uint64_t>(i), a.target(), seen);
    }
    Renderer fresh = renderer(layout, hour, weather);
    fresh.draw(now, 3, b.target(), seen);
    EXPECT_EQ(a.bytes, b.bytes);
  }
}

TEST(Renderer, ShadowsDarkenTheGroundOnTheSideAwayFromTheSun) {
  const Layout layout = plain();
  Renderer r = renderer(layout, 9);
  Picture empty;
  Picture with;
  std::vector<Sighting> seen;
  r.draw(Snapshot{}, 0, empty.target(), seen);
  Snapshot now;
  now.objects = {car(1, 25, 0, BodyKind::kBoxTruck)};
  r.draw(now, 0, with.target(), seen);
  const Vec3 sun = r.light().to_sun;
  ASSERT_GT(sun.z, 0.2F);
  const auto luma = [&](const Picture& p, float side) {
    // On the ground beside the truck.
    float u = 0;
    float v = 0;
    r.camera().to_pixels(r.camera().to_camera({25, side, 0}), u, v);
    return static_cast<int>(p.bytes[static_cast<std::size_t>(v) * kWidth + static_cast<std::size_t>(u)]);
  };
  const float away = sun.y > 0 ? -2.2F : 2.2F;
  EXPECT_LT(luma(with, away), luma(empty, away) - 25);
  EXPECT_NEAR(luma(with, -away * 1.6F), luma(empty, -away * 1.6F), 8);
}

TEST(Renderer, NightIsDarkerAndLampsShine) {
  const Layout layout = plain();
  Renderer day = renderer(layout, 12);
  Renderer night = renderer(layout, 23);
  Picture a;
  Picture b;
  Picture lit;
  std::vector<Sighting> seen;
  day.draw(Snapshot{}, 0, a.target(), seen);
  night.draw(Snapshot{}, 0, b.target(), seen);
  const auto mean = [](const Picture& p) {
    double sum = 0;
    for (int i = 0; i < kWidth * kHeight; ++i) sum += p.bytes[static_cast<std::size_t>(i)];
    return sum / (kWidth * kHeight);
  };
  EXPECT_LT(mean(b), mean(a) - 40);
  Snapshot now;
  now.objects = {car(1, 30, 0)};
  now.objects[0].heading = static_cast<float>(kPi);  // towards the camera
  night.draw(now, 0, lit.target(), seen);
  EXPECT_GT(mean(lit), mean(b) + 1) << "headlights and their light on the road";
}

}  // namespace
}  // namespace gantry::scene
