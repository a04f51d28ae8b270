#pragma once
// Light and air by hour and weather, and the way from linear light to the bytes of a BT.709 limited-range picture.
#include <array>
#include <cstdint>

#include "gantry/scene/options.hpp"
#include "scene/vec3.hpp"

namespace gantry::scene {

/// Colour in the picture: Y 16…235, U and V 16…240, still with fractions.
struct Yuv {
  float y = 16, u = 128, v = 128;
};

struct Light {
  Vec3 to_sun{0, 0, 1};  ///< unit vector
  Vec3 sun;              ///< irradiance of a surface that faces it, linear RGB; 0 at night
  Vec3 sky;              ///< irradiance from straight above
  Vec3 horizon;          ///< radiance near the horizon, also the colour of haze and fog
  Vec3 zenith;           ///< radiance of the sky overhead
  Vec3 ground;           ///< radiance that the ground sends back up
  float haze = 0;        ///< extinction per metre
  float exposure = 1;
  float wet = 0;    ///< 0 dry … 1 standing water
  float night = 0;  ///< 0 day … 1 lamps lit
  bool headlights = false;
  float cloud = 0;     ///< 0 clear … 1 overcast
  float noise = 1.2F;  ///< standard deviation of the sensor's noise, steps of Y
  float rain = 0;      ///< streaks, 0…1

  [[nodiscard]] Vec3 sky_radiance(Vec3 direction) const noexcept {
    const float up = direction.z < 0 ? 0 : direction.z;
    return mix(horizon, zenith, up * (2 - up));
  }
  /// What a mirror would show.
  [[nodiscard]] Vec3 surroundings(Vec3 direction) const noexcept {
    return direction.z > 0 ? sky_radiance(direction)
                           : mix(horizon, ground, -direction.z * 4 > 1 ? 1 : -direction.z * 4);
  }
  /// Share of a surface's light that comes through `metres` of air.
  [[nodiscard]] float clear(float metres) const noexcept {
    const float t = metres * haze;
    return 1 / (1 + t * (1 + t * (0.5F + t * (0.16666667F + t * 0.041666667F))));
  }
};

[[nodiscard]] Light make_light(double hour, Weather weather);

/// Linear light, exposed, through a camera's curve into bytes. Table-driven; the table is made once.
class Film {
 public:
  explicit Film(float exposure);
  [[nodiscard]] Yuv develop(Vec3 linear) const noexcept {
    const float r = curve(linear.x);
    const float g = curve(linear.y);
    const float b = curve(linear.z);
    // ITU-R BT.709, limited range.
    const float y = 0.2126F * r + 0.7152F * g + 0.0722F * b;
    return {16 + 219 * y, 128 + 224 * (b - y) * (0.5F / (1 - 0.0722F)), 128 + 224 * (r - y) * (0.5F / (1 - 0.2126F))};
  }

 private:
  static constexpr int kSize = 4096;
  static constexpr float kTop = 6;
  [[nodiscard]] float curve(float x) const noexcept {
    const float t = x * scale_;
    if (!(t > 0)) return table_[0];
    return t >= kSize - 1 ? table_[kSize - 1] : table_[static_cast<std::size_t>(t)];
  }
  float scale_;
  std::array<float, kSize> table_{};
};

}  // namespace gantry::scene
