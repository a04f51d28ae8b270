#include "scene/backdrop.hpp"

#include <algorithm>

#include "scene/ground.hpp"
#include "scene/project.hpp"
#include "scene/still_life.hpp"

namespace gantry::scene {
namespace {

std::uint32_t pack(const Yuv& c, float shadable) noexcept {
  const auto byte = [](float v) { return static_cast<std::uint32_t>(std::clamp(v + 0.5F, 0.0F, 255.0F)); };
  return byte(c.y) | byte(c.u) << 8 | byte(c.v) << 16 | byte(shadable * 255) << 24;
}

/// The sun's shadow of a point on the ground.
Vec3 shadow_of(Vec3 p, Vec3 to_sun) noexcept {
  const float t = p.z / to_sun.z;
  return {p.x - t * to_sun.x, p.y - t * to_sun.y, 0};
}

Vec3 clouds(const Light& light, Vec3 direction) noexcept {
  const Vec3 sky = light.sky_radiance(direction);
  if (direction.z < 0.02F) return sky;
  const float x = direction.x / (direction.z + 0.15F) * 2.2F;
  const float y = direction.y / (direction.z + 0.15F) * 2.2F;
  float n = 0.55F * value_noise(x, y, 21) + 0.3F * value_noise(x * 2.1F, y * 2.1F, 22) +
            0.15F * value_noise(x * 4.3F, y * 4.3F, 23);
  n = std::clamp((n - 0.48F + 0.2F * light.cloud) * 3.0F, 0.0F, 1.0F);
  const Vec3 white = 1.05F * light.horizon;
  return mix(sky, white, n * (0.7F - 0.5F * light.cloud));
}

}  // namespace

Vec3 lamp_light(const std::vector<Vec3>& lamps, Vec3 at, Vec3 normal) noexcept {
  float sum = 0;
  for (const Vec3& lamp : lamps) {
    const Vec3 d = lamp - at;
    const float d2 = dot(d, d);
    if (d2 > 45 * 45) continue;
    const float inv = 1 / std::sqrt(d2);
    const float facing = std::max(0.25F, dot(normal, d) * inv);
    const float spread = std::max(0.1F, d.z * inv);  // lamps shine down
    sum += 95.0F * facing * spread / (d2 + 16);
  }
  return sum * Vec3{0.42F, 0.335F, 0.22F};
}

Backdrop::Backdrop(const Layout& layout, const Camera& camera, const Light& light, const Film& film)
    : width(camera.width()), height(camera.height()) {
  const std::size_t count = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  for (const Pole& pole : layout.poles) {
    if (!pole.lamp) continue;
    const Vec2 end = pole.at + pole.arm_length * unit(pole.arm_heading);
    lamps.push_back({static_cast<float>(end.x), static_cast<float>(end.y), static_cast<float>(pole.height)});
  }
  const Ground ground(layout);
  const std::vector<StillTriangle> things = still_life(layout, light.night);
  RasterTarget target;
  target.resize(width, height, false);

  // Shadows first, as coverage of the ground.
  const float sun_strength = light.sun.y * light.to_sun.z;
  if (sun_strength > 0.02F && light.to_sun.z > 0.05F) {
    const std::vector<float> nothing(count, 0.0F);
    for (const StillTriangle& t : things) {
      ClipVertex v[3];
      for (int i = 0; i < 3; ++i) v[i].at = camera.to_camera(shadow_of(t.corner[i], light.to_sun));
      clip_triangle(camera, v[0], v[1], v[2], [&](const Corner& a, const Corner& b, const Corner& c) {
        for (int s = 0; s < kSamples; ++s) draw_shadow(target, s, false, a, b, c, nothing);
      });
    }
  }

  // Ground and sky, ray by ray.
  const Vec3 eye = camera.position();
  std::vector<float> lit(count, 0.0F);
  std::vector<Vec3> base(count);
  const Vec3 sky_light = light.sky;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::size_t i = static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
      Vec3 sum{};
      float shade_share = 0;
      for (int s = 0; s < kSamples; ++s) {
        const Vec3 d = camera.ray(static_cast<float>(x) + kSampleOffset[static_cast<std::size_t>(s)][0],
                                  static_cast<float>(y) + kSampleOffset[static_cast<std::size_t>(s)][1]);
        float& depth_here = target.planes[static_cast<std::size_t>(s)].depth[i];
        if (d.z > -0.002F) {
          depth_here = 0;
          sum = sum + clouds(light, d);
          continue;
        }
        const float t = eye.z / -d.z;
        const Vec3 p = eye + t * d;
        depth_here = 1 / (t * dot(d, camera.ahead()));
        const float pixel = t / camera.focal();
        const float blur = pixel * 0.6F / std::max(0.05F, std::sqrt(-d.z));
        const Ground::Sample g = ground.at(p.x, p.y, blur);
        const bool in_shadow = (target.shadow[i] >> s & 1) != 0;
        Vec3 albedo = g.albedo;
        if (light.wet > 0) albedo = (1 - 0.42F * light.wet * g.gloss) * albedo;
        const Vec3 from_sun = sun_strength * Vec3{light.sun.x / std::max(light.sun.y, 1e-3F), 1,
                                                  light.sun.z / std::max(light.sun.y, 1e-3F)};
        Vec3 around = sky_light;
        if (light.night > 0) around = around + light.night * lamp_light(lamps, {p.x, p.y, 0}, {0, 0, 1});
        Vec3 radiance = albedo * (in_shadow ? around : around + from_sun);
        if (light.wet > 0 && g.gloss > 0) {
          // Schlick's reflection of the sky at a rough, partly flooded surface.
          const float cosine = std::min(1.0F, -d.z);
          const float f = 1 - cosine;
          const float puddle = std::clamp(value_noise(p.x * 0.35F, p.y * 0.35F, 31) * 1.6F - 0.35F, 0.15F, 1.0F);
          const float share = light.wet * g.gloss * puddle * (0.03F + 0.5F * f * f * f * f * f);
          radiance = mix(radiance, light.sky_radiance({d.x, d.y, -d.z}), share);
        }
        if (!in_shadow) shade_share += sun_strength / (sun_strength + around.y);
        sum = sum + mix(light.horizon, radiance, light.clear(t));
      }
      base[i] = 0.25F * sum;
      lit[i] = shade_share / kSamples;
    }
  }

  // What stands on it.
  for (const StillTriangle& t : things) {
    Vec3 normal = t.normal;
    const Vec3 middle = (1.0F / 3) * (t.corner[0] + t.corner[1] + t.corner[2]);
    const Vec3 view = normalised(eye - middle);
    if (!t.leaf && dot(normal, view) <= 0) continue;
    const float facing = dot(normal, light.to_sun);
    const float sun = t.leaf ? std::max(0.12F, 0.35F + 0.65F * facing) * 0.85F : std::max(0.0F, facing);
    Vec3 colour[3];
    for (int i = 0; i < 3; ++i) {
      const float up = 0.5F + 0.5F * normal.z;
      const float low = std::clamp(0.55F + t.corner[i].z * 0.15F, 0.55F, 1.0F);
      Vec3 around = low * mix(3.0F * light.ground, light.sky, up);
      if (light.night > 0) around = around + light.night * lamp_light(lamps, t.corner[i], normal);
      Vec3 c = t.albedo * (sun * light.sun + around) + t.glow;
      if (t.mirror > 0) {
        const Vec3 r = 2 * dot(normal, view) * normal - view;
        c = mix(c, light.surroundings(r), t.mirror);
        c = c + t.glow;
      }
      colour[i] = mix(light.horizon, c, light.clear(norm(t.corner[i] - eye)));
    }
    ClipVertex v[3];
    for (int i = 0; i < 3; ++i) v[i] = {camera.to_camera(t.corner[i]), film.develop(colour[i])};
    clip_triangle(camera, v[0], v[1], v[2], [&](const Corner& a, const Corner& b, const Corner& c) {
      draw_triangle(target, a, b, c, {}, 1, false);
    });
  }

  pixels.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Yuv under = film.develop(base[i]);
    Yuv sum;
    sum = {0, 0, 0};
    int drawn = 0;
    for (int s = 0; s < kSamples; ++s) {
      const std::uint32_t c = target.planes[static_cast<std::size_t>(s)].colour[i];
      if (c >> 24 == 0) {
        sum = {sum.y + under.y, sum.u + under.u, sum.v + under.v};
      } else {
        ++drawn;
        sum = {sum.y + static_cast<float>(c & 255), sum.u + static_cast<float>(c >> 8 & 255),
               sum.v + static_cast<float>(c >> 16 & 255)};
      }
    }
    // Ground keeps at least 1 of 255, so that contact shadows fall on it where the sun does not shine.
    const bool is_ground = drawn < kSamples && target.planes[0].depth[i] > 0;
    const float share = lit[i] * static_cast<float>(kSamples - drawn) / kSamples;
    pixels[i] = pack({sum.y / 4, sum.u / 4, sum.v / 4}, is_ground ? std::max(share, 1.0F / 255) : 0.0F);
  }
  for (int s = 0; s < kSamples; ++s)
    depth[static_cast<std::size_t>(s)] = std::move(target.planes[static_cast<std::size_t>(s)].depth);
}

}  // namespace gantry::scene
