#include "scene/camera.hpp"

#include <gtest/gtest.h>

#include "gantry/scene/options.hpp"

namespace gantry::scene {
namespace {

TEST(Camera, RaysMeetWhatTheyShow) {
  for (const std::string& scene : scene_names()) {
    for (const CameraMount& mount : make_layout(scene).cameras) {
      const Camera camera(mount, 1280, 720);
      for (const float u : {90.0F, 640.0F, 1200.0F}) {
        for (const float v : {330.0F, 500.0F, 700.0F}) {
          const Vec3 ray = camera.ray(u, v);
          if (ray.z >= -0.02F) continue;
          const Vec3 ground = camera.position() + (camera.position().z / -ray.z) * ray;
          float x = 0;
          float y = 0;
          camera.to_pixels(camera.to_camera(ground), x, y);
          EXPECT_NEAR(x, u, 0.3) << scene << "/" << mount.name;
          EXPECT_NEAR(y, v, 0.3) << scene << "/" << mount.name;
        }
      }
    }
  }
}

TEST(Camera, HomographyIsTheUndistortedProjectionOfTheRoad) {
  CameraMount mount = make_layout("junction").cameras.front();
  mount.k1 = 0;
  mount.k2 = 0;
  mount.roll_deg = 3;
  const Camera camera(mount, 640, 480);
  const std::array<double, 9> h = camera.homography();
  for (const Vec2 p : {Vec2{0, 0}, Vec2{-6, 3}, Vec2{4, -12}}) {
    const double w = h[6] * p.x + h[7] * p.y + h[8];
    float u = 0;
    float v = 0;
    camera.to_pixels(camera.to_camera({static_cast<float>(p.x), static_cast<float>(p.y), 0}), u, v);
    EXPECT_NEAR((h[0] * p.x + h[1] * p.y + h[2]) / w, u, 0.01);
    EXPECT_NEAR((h[3] * p.x + h[4] * p.y + h[5]) / w, v, 0.01);
  }
}

TEST(Camera, AxesAreARightHandedFrameAlsoStraightDown) {
  CameraMount down;
  down.z = 30;
  for (const CameraMount& mount : {down, make_layout("motorway").cameras.front()}) {
    const Camera camera(mount, 320, 240);
    const Vec3 c = cross(camera.right(), camera.down());
    EXPECT_NEAR(dot(c, camera.ahead()), 1, 1e-5);
    EXPECT_NEAR(dot(camera.right(), camera.ahead()), 0, 1e-5);
  }
}

}  // namespace
}  // namespace gantry::scene
