#pragma once
// A pinhole camera with radial distortion that looks at the road plane z = 0. Immutable after construction.
#include <algorithm>
#include <array>

#include "gantry/core/detection.hpp"
#include "scene/layout.hpp"
#include "scene/vec3.hpp"

namespace gantry::scene {

class Camera {
 public:
  Camera(const CameraMount& mount, int width, int height);

  /// Camera coordinates: x to the right, y down, z ahead, metres.
  [[nodiscard]] Vec3 to_camera(Vec3 world) const noexcept {
    const Vec3 d = world - position_;
    return {dot(d, right_), dot(d, down_), dot(d, ahead_)};
  }
  /// Pixels (edges, not centres, at whole numbers) of a point in camera coordinates with z > 0.
  void to_pixels(Vec3 camera, float& u, float& v) const noexcept {
    const float inv = 1 / camera.z;
    float x = camera.x * inv;
    float y = camera.y * inv;
    const float r2 = std::min(x * x + y * y, 1.2F);
    const float k = 1 + r2 * (k1_ + r2 * k2_);
    u = centre_x_ + focal_ * x * k;
    v = centre_y_ + focal_ * y * k;
  }
  /// Unit vector of the ray through a pixel, in world coordinates.
  [[nodiscard]] Vec3 ray(float u, float v) const noexcept;

  /// Row-major 3x3, road plane metres (x, y, 1) to undistorted pixels: the ideal pinhole part.
  [[nodiscard]] std::array<double, 9> homography() const noexcept;

  [[nodiscard]] Vec3 position() const noexcept { return position_; }
  [[nodiscard]] Vec3 ahead() const noexcept { return ahead_; }
  [[nodiscard]] Vec3 right() const noexcept { return right_; }
  [[nodiscard]] Vec3 down() const noexcept { return down_; }
  [[nodiscard]] int width() const noexcept { return width_; }
  [[nodiscard]] int height() const noexcept { return height_; }
  [[nodiscard]] float focal() const noexcept { return focal_; }  ///< pixels
  [[nodiscard]] float k1() const noexcept { return k1_; }
  [[nodiscard]] float k2() const noexcept { return k2_; }

 private:
  int width_, height_;
  float focal_, centre_x_, centre_y_, k1_, k2_;
  Vec3 position_, right_, down_, ahead_;
};

}  // namespace gantry::scene
