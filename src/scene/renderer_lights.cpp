// What shines: signal lamps, headlights on the road, and the glow of lamps on the film.
#include <algorithm>

#include "scene/project.hpp"
#include "scene/renderer.hpp"

namespace gantry::scene {

void Renderer::draw_lamps(const Snapshot& now) {
  constexpr Vec3 kOn[3] = {{2.2F, 0.10F, 0.06F}, {2.0F, 1.0F, 0.06F}, {0.12F, 1.7F, 0.75F}};
  const float gain = 1.0F / light_.exposure;
  for (const SignalHead& head : layout_.heads) {
    const SignalState state =
        now.signals.empty() ? SignalState::kRed : now.signals[static_cast<std::size_t>(head.group)];
    const Vec2 d = unit(head.facing);
    const Vec2 r = right_of(d);
    const Vec3 out{static_cast<float>(d.x), static_cast<float>(d.y), 0};
    const Vec3 side{static_cast<float>(r.x), static_cast<float>(r.y), 0};
    for (int lens = 0; lens < 3; ++lens) {
      const bool on = (lens == 0 && state == SignalState::kRed) || (lens == 1 && state == SignalState::kYellow) ||
                      (lens == 2 && state == SignalState::kGreen);
      const Vec3 centre = Vec3{static_cast<float>(head.at.x), static_cast<float>(head.at.y),
                               static_cast<float>(head.height) + 0.33F * static_cast<float>(1 - lens)} +
                          0.13F * out;
      if (dot(camera_.position() - centre, out) <= 0) continue;
      const Vec3 colour = on ? gain * kOn[lens] : Vec3{0.02F, 0.02F, 0.02F} * (light_.sky + light_.sun);
      const Yuv developed = film_.develop(mix(light_.horizon, colour, light_.clear(norm(camera_.position() - centre))));
      ClipVertex v[9];
      Corner k[9];
      bool behind = false;
      for (int i = 0; i < 8; ++i) {
        const auto a = static_cast<float>(2 * kPi * i / 8);
        const Vec3 p =
            centre + 0.13F * (static_cast<float>(det_cos(a)) * side + Vec3{0, 0, static_cast<float>(det_sin(a))});
        v[i] = {camera_.to_camera(p), developed};
        behind = behind || v[i].at.z < kNear;
        if (!behind) k[i] = to_corner(camera_, v[i]);
      }
      if (behind) continue;
      mark(bounds(k, 8, width_, height_));
      for (int i = 1; i + 1 < 8; ++i) {
        draw_triangle(target_, k[0], k[i], k[i + 1], {}, kLampOwner, false);
      }
    }
  }
}

void Renderer::draw_light_pools(const Drawn& d) {
  const ObjectState& o = *d.object;
  if (d.mesh->headlights.empty() || o.lane < 0) return;
  const auto c = static_cast<float>(det_cos(o.heading));
  const auto s = static_cast<float>(det_sin(o.heading));
  const auto nose = d.mesh->headlights.front().x;
  const float strength = body_size(o.kind).width > 1 ? 46.0F : 26.0F;
  // Fans of light ahead of the lamps: brightest a few metres away, gone at 26 m.
  constexpr float kAt[6] = {1.0F, 4.0F, 8.0F, 13.0F, 19.0F, 26.0F};
  constexpr float kShare[6] = {0.25F, 1.0F, 0.75F, 0.42F, 0.18F, 0.0F};
  constexpr int kAcross = 4;
  Corner grid[6][kAcross + 1];
  bool front[6] = {};
  for (int i = 0; i < 6; ++i) {
    front[i] = true;
    for (int j = 0; j <= kAcross; ++j) {
      const float side = static_cast<float>(j - kAcross / 2) / (kAcross / 2.0F);
      const float half = 0.9F + 0.16F * kAt[i];
      const float x = nose + kAt[i];
      const float y = side * half;
      const Vec3 p = camera_.to_camera({o.x + c * x - s * y, o.y + s * x + c * y, 0});
      if (p.z < kNear) {
        front[i] = false;
        break;
      }
      ClipVertex v{p, {strength * light_.night * kShare[i] * (1 - side * side), 128, 128}};
      grid[i][j] = to_corner(camera_, v);
    }
  }
  for (int i = 0; i + 1 < 6; ++i) {
    if (!front[i] || !front[i + 1]) continue;
    for (int j = 0; j < kAcross; ++j) {
      const Corner q[4] = {grid[i][j], grid[i][j + 1], grid[i + 1][j + 1], grid[i + 1][j]};
      mark(bounds(q, 4, width_, height_));
      draw_glow(pools_, width_, height_, q[0], q[1], q[2]);
      draw_glow(pools_, width_, height_, q[0], q[2], q[3]);
    }
  }
}

void Renderer::add_spot(const Nv12& out, float u, float v, float radius, float amount, float red, float w) {
  const int cx = static_cast<int>(u);
  const int cy = static_cast<int>(v);
  if (cx < 0 || cy < 0 || cx >= width_ || cy >= height_) return;
  // Hidden where something nearer was drawn.
  if (target_.planes[0].depth[static_cast<std::size_t>(cy) * static_cast<std::size_t>(width_) +
                              static_cast<std::size_t>(cx)] > w * 1.06F)
    return;
  const int r = static_cast<int>(radius) + 1;
  const float inverse = 1 / (radius * radius);
  for (int y = std::max(0, cy - r); y <= std::min(height_ - 1, cy + r); ++y) {
    for (int x = std::max(0, cx - r); x <= std::min(width_ - 1, cx + r); ++x) {
      const float dx = static_cast<float>(x) + 0.5F - u;
      const float dy = static_cast<float>(y) + 0.5F - v;
      const float t = 1 - (dx * dx + dy * dy) * inverse;
      if (t <= 0) continue;
      const int add = static_cast<int>(amount * t * t * t);
      std::uint8_t& luma = out.y[y * out.stride + x];
      luma =
          static_cast<std::uint8_t>(std::min(235, luma + static_cast<int>(static_cast<float>(add) * (1 - 0.6F * red))));
      if ((x & 1) == 0 && (y & 1) == 0) {
        std::uint8_t& cr = out.uv[(y / 2) * out.stride + x + 1];
        std::uint8_t& cb = out.uv[(y / 2) * out.stride + x];
        cr = static_cast<std::uint8_t>(
            std::clamp(cr + static_cast<int>(static_cast<float>(add) * (red > 0 ? 0.42F * red : -0.01F)), 16, 240));
        cb = static_cast<std::uint8_t>(std::clamp(cb - static_cast<int>(static_cast<float>(add) * 0.10F), 16, 240));
      }
    }
  }
}

void Renderer::glow_lights(const Nv12& out) {
  for (const Drawn& d : drawn_) {
    const ObjectState& o = *d.object;
    if (o.lane < 0) continue;
    const auto c = static_cast<float>(det_cos(o.heading));
    const auto s = static_cast<float>(det_sin(o.heading));
    const Vec3 eye = camera_.position();
    const float dusk = 0.35F + 0.65F * light_.night;
    for (const bool head : {true, false}) {
      for (const Vec3& lamp : head ? d.mesh->headlights : d.mesh->taillights) {
        const Vec3 at{o.x + c * lamp.x - s * lamp.y, o.y + s * lamp.x + c * lamp.y, lamp.z};
        const Vec3 to_eye = normalised(eye - at);
        const float towards = (head ? 1.0F : -1.0F) * (c * to_eye.x + s * to_eye.y);
        if (towards < 0.1F) continue;
        const Vec3 p = camera_.to_camera(at);
        if (p.z < 1) continue;
        float u = 0;
        float v = 0;
        camera_.to_pixels(p, u, v);
        const float air = light_.clear(p.z);
        const float beam = head ? 0.25F + 0.75F * towards * towards * towards * towards : (o.braking ? 1.0F : 0.5F);
        const float radius = std::clamp(camera_.focal() * (head ? 0.55F : 0.32F) / p.z, 1.5F, 46.0F);
        add_spot(out, u, v, radius, (head ? 190.0F : 80.0F) * beam * dusk * air, head ? 0.0F : 1.0F, 1 / p.z);
        if (light_.wet > 0.5F && light_.night > 0.3F) {
          // A streak on the wet road below.
          const Vec3 q = camera_.to_camera({at.x + (eye.x - at.x) * 0.06F, at.y + (eye.y - at.y) * 0.06F, 0});
          if (q.z < 1) continue;
          camera_.to_pixels(q, u, v);
          for (int k = 0; k < 3; ++k)
            add_spot(out, u, v + static_cast<float>(k) * radius * 0.6F, radius * 0.7F,
                     (head ? 50.0F : 30.0F) * dusk * air, head ? 0.0F : 1.0F, 1 / q.z);
        }
      }
    }
  }
}

}  // namespace gantry::scene
