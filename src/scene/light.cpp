#include "scene/light.hpp"

#include <algorithm>

#include "scene/det_math.hpp"

namespace gantry::scene {

Light make_light(double hour, Weather weather) {
  Light light;
  const double t = (hour - 5.5) / 15.0;  // sunrise 5:30, sunset 20:30
  const double elevation = t > 0 && t < 1 ? 58 * kPi / 180 * det_sin(kPi * t) : -0.2;
  const double azimuth = -kPi * std::clamp(t, 0.0, 1.0) - 0.35;  // from the east over the south to the west
  light.to_sun = {static_cast<float>(det_cos(elevation) * det_cos(azimuth)),
                  static_cast<float>(det_cos(elevation) * det_sin(azimuth)), static_cast<float>(det_sin(elevation))};
  const auto up = static_cast<float>(std::max(0.0, det_sin(elevation)));
  // Day fades within the last twelve degrees above the horizon.
  const float day = std::clamp(up / 0.2F, 0.0F, 1.0F);
  light.night = 1 - std::clamp((up - 0.02F) / 0.10F, 0.0F, 1.0F);
  const float warm = 1 - std::clamp(up / 0.5F, 0.0F, 1.0F);
  light.sun = (3.4F * day) * Vec3{1.0F, 0.96F - 0.20F * warm, 0.88F - 0.42F * warm};
  light.sky = (0.15F + 0.85F * day) * Vec3{0.62F, 0.74F, 0.95F};
  light.horizon = (0.12F + 0.88F * day) * Vec3{0.86F + 0.12F * warm, 0.98F, 1.14F - 0.22F * warm};
  light.zenith = (0.10F + 0.90F * day) * Vec3{0.26F, 0.52F, 1.10F};
  light.haze = 1.0F / 2600;
  light.headlights = light.night > 0.05F;
  switch (weather) {
    case Weather::kClear:
      break;
    case Weather::kOvercast:
      light.cloud = 0.92F;
      break;
    case Weather::kRain:
      light.cloud = 1;
      light.wet = 1;
      light.rain = 1;
      light.haze = 1.0F / 800;
      light.headlights = true;
      break;
    case Weather::kFog:
      light.cloud = 1;
      light.wet = 0.35F;
      light.haze = 1.0F / 95;
      light.headlights = true;
      break;
  }
  if (light.cloud > 0) {
    const float c = light.cloud;
    const float whole = 0.3333F * (light.sun.x + light.sun.y + light.sun.z) * std::max(up, 0.25F) * 0.55F * day;
    const Vec3 grey = (0.1F + 0.9F * day) * Vec3{0.86F, 0.90F, 0.95F};
    light.sky = mix(light.sky, light.sky * Vec3{0.9F, 0.8F, 0.7F} + whole * Vec3{1, 1, 1}, c);
    light.sun = (1 - 0.96F * c) * light.sun;
    light.horizon = mix(light.horizon, grey, c);
    light.zenith = mix(light.zenith, 0.8F * grey, c);
  }
  if (light.night > 0) {
    // Glow of a town in place of the sun.
    const Vec3 dim{0.020F, 0.022F, 0.030F};
    light.sky = mix(light.sky, Vec3{0.035F, 0.038F, 0.050F}, light.night);
    light.sun = (1 - light.night) * light.sun;
    light.horizon = mix(light.horizon, 1.6F * dim, light.night);
    light.zenith = mix(light.zenith, 0.5F * dim, light.night);
  }
  const float lit = light.sun.y * std::max(up, 0.12F) + light.sky.y;
  light.ground = 0.16F * (light.sun.y * up * Vec3{1, 0.97F, 0.9F} + light.sky);
  // A camera's automatic exposure: a grey road comes out at the same level; by night the lamps decide.
  const float by_day = 1.75F / lit;
  light.exposure = by_day + (3.2F - by_day) * light.night;
  light.noise = 1.1F + 2.2F * light.night + (weather == Weather::kClear ? 0 : 0.5F);
  return light;
}

Film::Film(float exposure) : scale_(exposure * kSize / kTop) {
  for (int i = 0; i < kSize; ++i) {
    const double x = (i + 0.5) * kTop / kSize;
    const double shoulder = 1 - det_exp(-1.3 * x);
    table_[static_cast<std::size_t>(i)] = static_cast<float>(det_pow(shoulder, 1 / 2.2));
  }
  table_[0] = 0;
}

}  // namespace gantry::scene
