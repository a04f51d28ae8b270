// One body's corners lit, projected and drawn.
#include <algorithm>

#include "scene/paint.hpp"
#include "scene/project.hpp"
#include "scene/renderer.hpp"

namespace gantry::scene {

void Renderer::draw_body(Drawn& d, std::uint8_t owner, double seconds) {
  const ObjectState& o = *d.object;
  const Mesh& mesh = *d.mesh;
  const Palette palette = palette_of(o);
  const auto c = static_cast<float>(det_cos(o.heading));
  const auto s = static_cast<float>(det_sin(o.heading));
  // The camera and the sun in the body's own coordinates.
  const auto local = [&](Vec3 v) { return Vec3{c * v.x + s * v.y, c * v.y - s * v.x, v.z}; };
  const Vec3 origin{o.x, o.y, 0};
  const Vec3 eye = local(camera_.position() - origin);
  const Vec3 sun = local(light_.to_sun);
  const Vec3 right = local(camera_.right());
  const Vec3 down = local(camera_.down());
  const Vec3 ahead = local(camera_.ahead());
  // In the shadow of something still? Ask the ground where it stands.
  float sunlit = 1;
  {
    const Vec3 ground = camera_.to_camera(origin);
    if (ground.z > kNear) {
      float u = 0;
      float v = 0;
      camera_.to_pixels(ground, u, v);
      if (u >= 0 && v >= 0 && u < static_cast<float>(width_) && v < static_cast<float>(height_)) {
        const std::uint32_t share =
            backdrop_
                .pixels[static_cast<std::size_t>(v) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(u)] >>
            24;
        if (share == 1) sunlit = 0.25F;
      }
    }
  }
  const Vec3 sun_light = sunlit * light_.sun;
  Vec3 lamps{};
  if (light_.night > 0) lamps = light_.night * lamp_light(backdrop_.lamps, {o.x, o.y, 1}, {0, 0, 1});
  const bool vehicle = class_of(o.kind) != 0;
  const bool lit = light_.headlights && vehicle && o.lane >= 0;
  const bool blink = o.indicator != 0 && std::fmod(seconds + o.id * 0.37, 0.72) < 0.38;
  const float day_gain = 1.0F / light_.exposure;  // lamps are as bright as the film's white
  const float fog = light_.clear(norm(eye));
  Vec3 glow[kMaterialCount] = {};
  const auto shine = [&](Material m, Vec3 v) { glow[static_cast<std::size_t>(m)] = day_gain * v; };
  if (lit) shine(Material::kHeadlight, {2.6F, 2.5F, 2.2F});
  if (lit) shine(Material::kTaillight, {0.75F, 0.03F, 0.02F});
  if (o.braking && vehicle && o.lane >= 0) shine(Material::kTaillight, {1.9F, 0.10F, 0.06F});
  if (blink && (o.indicator > 0)) shine(Material::kLeftIndicator, {1.8F, 0.75F, 0.05F});
  if (blink && (o.indicator < 0 || o.indicator == 2)) shine(Material::kRightIndicator, {1.8F, 0.75F, 0.05F});
  shine(Material::kSign, {1.1F, 0.62F, 0.08F});

  const std::size_t count = mesh.vertices.size();
  vertices_.resize(count);
  corners_.resize(count);
  facing_.resize(count);
  float x0 = 1e9F, y0 = 1e9F, x1 = -1e9F, y1 = -1e9F;
  const auto height = static_cast<float>(body_size(o.kind).height);
  for (std::size_t i = 0; i < count; ++i) {
    const MeshVertex& m = mesh.vertices[i];
    const Vec3 to_eye = eye - m.at;
    const float distance = norm(to_eye);
    const Vec3 view = (1 / distance) * to_eye;
    const float cosine = dot(m.normal, view);
    facing_[i] = cosine;
    ClipVertex& v = vertices_[i];
    v.at = {-dot(to_eye, right), -dot(to_eye, down), -dot(to_eye, ahead)};
    if (v.at.z < kNear) {
      d.cut = true;
    } else {
      Corner& k = corners_[i];
      camera_.to_pixels(v.at, k.x, k.y);
      k.w = 1 / v.at.z;
      x0 = std::min(x0, k.x);
      x1 = std::max(x1, k.x);
      y0 = std::min(y0, k.y);
      y1 = std::max(y1, k.y);
    }
    if (cosine < -0.2F) continue;
    const Material material = m.material;
    const Vec3 albedo = palette[static_cast<std::size_t>(material)];
    const float up = 0.5F + 0.5F * m.normal.z;
    // Close to the road, and where the body bends under, less sky is in view.
    const float low = std::clamp(0.42F + 0.75F * m.at.z / std::min(height, 1.4F), 0.42F, 1.0F);
    Vec3 around = low * mix(2.6F * light_.ground, light_.sky, up);
    around = around + (0.35F + 0.65F * up) * lamps;
    const float facing_sun = std::max(0.0F, dot(m.normal, sun));
    Vec3 colour = albedo * (facing_sun * sun_light + around) + glow[static_cast<std::size_t>(material)];
    float mirror = 0;
    float highlight = 0;
    const float f = 1 - std::max(0.0F, cosine);
    const float f5 = f * f * f * f * f;
    switch (material) {
      case Material::kPaint:
      case Material::kSecond:
        if (class_of(o.kind) != 0 && class_of(o.kind) != 1) {
          mirror = 0.045F + 0.55F * f5;
          highlight = 0.55F;
        }
        break;
      case Material::kGlass:
        mirror = 0.10F + 0.75F * f5;
        highlight = 1.2F;
        break;
      case Material::kRim:
      case Material::kMetal:
      case Material::kHeadlight:
        mirror = 0.25F;
        highlight = 0.5F;
        break;
      default:
        break;
    }
    if (mirror > 0) {
      const Vec3 r = 2 * cosine * m.normal - view;
      colour = mix(colour, light_.surroundings(r) + lamps * Vec3{0.3F, 0.3F, 0.3F}, mirror);
      const float gleam = std::max(0.0F, dot(r, sun));
      const float g2 = gleam * gleam, g4 = g2 * g2, g8 = g4 * g4, g32 = g8 * g8 * g8 * g8;
      colour = colour + (highlight * g32) * sun_light;
    }
    v.colour = film_.develop(mix(light_.horizon, colour, fog));
    corners_[i].colour = v.colour;
  }
  if (x0 > x1) return;
  d.full = {x0, y0, x1, y1};

  // Movement in the picture during the shutter, from the body's middle.
  float dx = 0;
  float dy = 0;
  const Vec3 middle = camera_.to_camera({o.x, o.y, height / 2});
  const Vec3 moved = camera_.to_camera({o.x + c * o.speed * 0.01F, o.y + s * o.speed * 0.01F, height / 2});
  if (middle.z > 1 && moved.z > 1) {
    float u0 = 0, v0 = 0, u1 = 0, v1 = 0;
    camera_.to_pixels(middle, u0, v0);
    camera_.to_pixels(moved, u1, v1);
    dx = (u1 - u0) * 100 * shutter_ / kSamples;
    dy = (v1 - v0) * 100 * shutter_ / kSamples;
  }
  const Corner box[2] = {{x0 - std::fabs(dx) * 2, y0 - std::fabs(dy) * 2, 0, {}},
                         {x1 + std::fabs(dx) * 2, y1 + std::fabs(dy) * 2, 0, {}}};
  d.rect = bounds(box, 2, width_, height_);
  if (d.rect.empty() && !d.cut) return;
  if (!d.cut) mark(d.rect);
  for (std::size_t t = 0; t + 2 < mesh.triangles.size(); t += 3) {
    const std::size_t i0 = mesh.triangles[t], i1 = mesh.triangles[t + 1], i2 = mesh.triangles[t + 2];
    if (facing_[i0] < 0 && facing_[i1] < 0 && facing_[i2] < 0) continue;
    const auto emit = [&](const Corner& a, const Corner& b, const Corner& e) {
      if (d.cut) {
        // Corners near the camera lie anywhere: only what is drawn counts.
        const float mx = 2 * std::abs(dx);
        const float my = 2 * std::abs(dy);
        const Corner corners[3] = {a, b, e};
        Corner wide[6];
        for (int k = 0; k < 3; ++k) {
          wide[k] = {corners[k].x - mx, corners[k].y - my, 0, {}};
          wide[k + 3] = {corners[k].x + mx, corners[k].y + my, 0, {}};
        }
        mark(bounds(wide, 6, width_, height_));
      }
      d.outline += draw_triangle(target_, a, b, e, {dx, dy}, owner, true);
    };
    if (d.cut) {
      clip_triangle(camera_, vertices_[i0], vertices_[i1], vertices_[i2], emit);
    } else {
      emit(corners_[i0], corners_[i1], corners_[i2]);
    }
  }
}

}  // namespace gantry::scene
