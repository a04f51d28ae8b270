#include "scene/camera.hpp"

namespace gantry::scene {

Camera::Camera(const CameraMount& mount, int width, int height) : width_(width), height_(height) {
  const double half = mount.horizontal_fov_deg / 2 * kPi / 180;
  focal_ = static_cast<float>(width / 2.0 / det_tan(half));
  centre_x_ = static_cast<float>(width) / 2;
  centre_y_ = static_cast<float>(height) / 2;
  k1_ = static_cast<float>(mount.k1);
  k2_ = static_cast<float>(mount.k2);
  position_ = {static_cast<float>(mount.x), static_cast<float>(mount.y), static_cast<float>(mount.z)};
  const Vec3 target{static_cast<float>(mount.look_x), static_cast<float>(mount.look_y),
                    static_cast<float>(mount.look_z)};
  ahead_ = normalised(target - position_);
  const bool straight_down = std::fabs(ahead_.x) + std::fabs(ahead_.y) < 1e-3F;
  right_ = straight_down ? Vec3{1, 0, 0} : normalised(cross(ahead_, {0, 0, 1}));
  down_ = cross(ahead_, right_);
  const float c = static_cast<float>(det_cos(mount.roll_deg * kPi / 180));
  const float s = static_cast<float>(det_sin(mount.roll_deg * kPi / 180));
  const Vec3 r = right_;
  right_ = c * r + s * down_;
  down_ = c * down_ - s * r;
}

Vec3 Camera::ray(float u, float v) const noexcept {
  const float xd = (u - centre_x_) / focal_;
  const float yd = (v - centre_y_) / focal_;
  float x = xd;
  float y = yd;
  for (int i = 0; i < 6; ++i) {
    const float r2 = std::min(x * x + y * y, 1.2F);
    const float k = 1 + r2 * (k1_ + r2 * k2_);
    x = xd / k;
    y = yd / k;
  }
  return normalised(x * right_ + y * down_ + ahead_);
}

std::array<double, 9> Camera::homography() const noexcept {
  // Columns of K [r1 r2 t] with t = -R c.
  const Vec3 rows[3] = {right_, down_, ahead_};
  std::array<double, 9> m{};
  double e[3][3];
  for (int i = 0; i < 3; ++i) {
    e[i][0] = rows[i].x;
    e[i][1] = rows[i].y;
    e[i][2] = -static_cast<double>(dot(rows[i], position_));
  }
  for (int j = 0; j < 3; ++j) {
    m[static_cast<std::size_t>(j)] = focal_ * e[0][j] + centre_x_ * e[2][j];
    m[static_cast<std::size_t>(3 + j)] = focal_ * e[1][j] + centre_y_ * e[2][j];
    m[static_cast<std::size_t>(6 + j)] = e[2][j];
  }
  return m;
}

}  // namespace gantry::scene
