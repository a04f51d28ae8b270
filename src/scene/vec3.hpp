#pragma once
// Small float vectors for drawing.
#include <cmath>

namespace gantry::scene {

struct Vec3 {
  float x = 0, y = 0, z = 0;
  friend constexpr Vec3 operator+(Vec3 a, Vec3 b) noexcept { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend constexpr Vec3 operator-(Vec3 a, Vec3 b) noexcept { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend constexpr Vec3 operator*(float k, Vec3 a) noexcept { return {k * a.x, k * a.y, k * a.z}; }
  friend constexpr Vec3 operator*(Vec3 a, Vec3 b) noexcept { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
};
[[nodiscard]] constexpr float dot(Vec3 a, Vec3 b) noexcept {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}
[[nodiscard]] constexpr Vec3 cross(Vec3 a, Vec3 b) noexcept {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
[[nodiscard]] inline float norm(Vec3 a) noexcept {
  return std::sqrt(dot(a, a));
}
[[nodiscard]] inline Vec3 normalised(Vec3 a) noexcept {
  const float n = norm(a);
  return n > 1e-12F ? (1 / n) * a : Vec3{0, 0, 1};
}
[[nodiscard]] constexpr Vec3 mix(Vec3 a, Vec3 b, float t) noexcept {
  return a + t * (b - a);
}

}  // namespace gantry::scene
