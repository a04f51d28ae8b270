#include "scene/renderer.hpp"

#include <algorithm>
#include <cstring>

#include "scene/paint.hpp"
#include "scene/project.hpp"

namespace gantry::scene {
namespace {

constexpr std::uint8_t kLampOwner = 255;
constexpr int kMostObjects = 254;

Rect bounds(const Corner* corners, int count, int width, int height) noexcept {
  float x0 = 1e9F, y0 = 1e9F, x1 = -1e9F, y1 = -1e9F;
  for (int i = 0; i < count; ++i) {
    x0 = std::min(x0, corners[i].x);
    x1 = std::max(x1, corners[i].x);
    y0 = std::min(y0, corners[i].y);
    y1 = std::max(y1, corners[i].y);
  }
  const auto pixel = [](float v, int limit) {
    return static_cast<int>(std::clamp(v, 0.0F, static_cast<float>(limit)));
  };
  return {pixel(std::floor(x0) - 1, width), pixel(std::floor(y0) - 1, height), pixel(std::ceil(x1) + 1, width),
          pixel(std::ceil(y1) + 1, height)};
}

/// Convex hull of points on the ground (Andrew's monotone chain); returns how many of `points` stand at its front.
int convex_hull(std::array<Vec2, 32>& points, int count) {
  std::sort(points.begin(), points.begin() + count,
            [](Vec2 a, Vec2 b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  std::array<Vec2, 64> hull;
  int n = 0;
  const auto turn = [](Vec2 o, Vec2 a, Vec2 b) { return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x); };
  for (int pass = 0; pass < 2; ++pass) {
    const int floor = n;
    for (int i = 0; i < count; ++i) {
      const Vec2 p = points[static_cast<std::size_t>(pass == 0 ? i : count - 1 - i)];
      while (n >= floor + 2 &&
             turn(hull[static_cast<std::size_t>(n - 2)], hull[static_cast<std::size_t>(n - 1)], p) <= 0)
        --n;
      hull[static_cast<std::size_t>(n++)] = p;
    }
    --n;
  }
  n = std::min(n, 32);
  std::copy_n(hull.begin(), n, points.begin());
  return n;
}

}  // namespace

Renderer::Renderer(const Layout& layout, const CameraMount& mount, int width, int height, double hour, Weather weather,
                   double fps)
    : layout_(layout),
      camera_(mount, width, height),
      light_(make_light(hour, weather)),
      film_(light_.exposure),
      backdrop_(layout, camera_, light_, film_),
      width_(width),
      height_(height),
      shutter_(static_cast<float>(std::min(0.5 / fps, light_.night > 0.5F ? 1.0 / 60 : 1.0 / 200))) {
  target_.resize(width, height, true);
  for (int s = 0; s < kSamples; ++s)
    target_.planes[static_cast<std::size_t>(s)].depth = backdrop_.depth[static_cast<std::size_t>(s)];
  tiles_x_ = (width + kTileW - 1) / kTileW;
  tiles_y_ = (height + kTileH - 1) / kTileH;
  dirty_.assign(static_cast<std::size_t>(tiles_x_ * tiles_y_), 0);
  pools_.assign(target_.shadow.size(), 0);
  still_y_.resize(target_.shadow.size());
  still_uv_.resize(target_.shadow.size() / 2);
  for (std::size_t i = 0; i < still_y_.size(); ++i) still_y_[i] = static_cast<std::uint8_t>(backdrop_.pixels[i]);
  for (int y = 0; y < height / 2; ++y) {
    for (int x = 0; x < width / 2; ++x) {
      std::uint32_t u = 2;
      std::uint32_t v = 2;
      for (int k = 0; k < 4; ++k) {
        const std::uint32_t p = backdrop_.pixels[static_cast<std::size_t>((2 * y + k / 2) * width + 2 * x + k % 2)];
        u += p >> 8 & 255;
        v += p >> 16 & 255;
      }
      still_uv_[static_cast<std::size_t>(y * width + 2 * x)] = static_cast<std::uint8_t>(u / 4);
      still_uv_[static_cast<std::size_t>(y * width + 2 * x + 1)] = static_cast<std::uint8_t>(v / 4);
    }
  }
  Rng rng(width * 31ULL + static_cast<std::uint64_t>(height));
  noise_.resize(std::size_t{1} << 16);
  for (std::int8_t& n : noise_) n = static_cast<std::int8_t>(std::floor(rng.normal() * light_.noise + 0.5));
  drawn_.reserve(512);
}

void Renderer::mark(const Rect& r) {
  if (r.empty()) return;
  for (int ty = r.y0 / kTileH; ty <= (r.y1 - 1) / kTileH; ++ty) {
    for (int tx = r.x0 / kTileW; tx <= (r.x1 - 1) / kTileW; ++tx)
      dirty_[static_cast<std::size_t>(ty * tiles_x_ + tx)] = 1;
  }
}

void Renderer::clear_tiles() {
  for (int ty = 0; ty < tiles_y_; ++ty) {
    for (int tx = 0; tx < tiles_x_; ++tx) {
      if (dirty_[static_cast<std::size_t>(ty * tiles_x_ + tx)] == 0) continue;
      const int x0 = tx * kTileW;
      const auto n = static_cast<std::size_t>(std::min(kTileW, width_ - x0));
      for (int y = ty * kTileH; y < std::min(height_, (ty + 1) * kTileH); ++y) {
        const std::size_t i =
            static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x0);
        for (int s = 0; s < kSamples; ++s) {
          SamplePlane& plane = target_.planes[static_cast<std::size_t>(s)];
          std::memset(plane.colour.data() + i, 0, n * sizeof(std::uint32_t));
          std::memcpy(plane.depth.data() + i, backdrop_.depth[static_cast<std::size_t>(s)].data() + i,
                      n * sizeof(float));
        }
        std::memset(target_.shadow.data() + i, 0, n);
        std::memset(target_.touched.data() + i, 0, n);
        std::memset(pools_.data() + i, 0, n);
      }
    }
  }
  std::fill(dirty_.begin(), dirty_.end(), std::uint8_t{0});
}

void Renderer::collect(const Snapshot& now) {
  drawn_.clear();
  const float half_x = static_cast<float>(width_) / 2 / camera_.focal() * 1.15F;
  const float half_y = static_cast<float>(height_) / 2 / camera_.focal() * 1.15F;
  for (const ObjectState& object : now.objects) {
    const BodySize& size = body_size(object.kind);
    const auto radius = static_cast<float>(size.length * 0.5 + size.height * 0.35);
    const Vec3 c = camera_.to_camera({object.x, object.y, static_cast<float>(size.height) / 2});
    // Shadows may reach into the picture from outside: keep a margin of the body's height.
    const float margin = radius + static_cast<float>(size.height) * 1.5F;
    if (c.z < -radius || std::fabs(c.x) > c.z * half_x + margin + radius ||
        std::fabs(c.y) > c.z * half_y + margin + radius)
      continue;
    const float pixels = camera_.focal() * static_cast<float>(size.height) / std::max(c.z, 0.5F);
    if (pixels < 2) continue;
    Drawn d;
    d.object = &object;
    d.depth = c.z;
    d.far = pixels < 38;
    d.mesh = &body_mesh(object.kind, object.stride, d.far);
    drawn_.push_back(d);
  }
  std::sort(drawn_.begin(), drawn_.end(), [](const Drawn& a, const Drawn& b) {
    return a.depth < b.depth || (a.depth == b.depth && a.object->id < b.object->id);
  });
  if (drawn_.size() > kMostObjects) drawn_.resize(kMostObjects);
}

void Renderer::draw_shadows(const Drawn& d) {
  const ObjectState& o = *d.object;
  const auto c = static_cast<float>(det_cos(o.heading));
  const auto s = static_cast<float>(det_sin(o.heading));
  const auto place = [&](Vec3 p) { return Vec3{o.x + c * p.x - s * p.y, o.y + s * p.x + c * p.y, p.z}; };
  const bool sunny = light_.sun.y > 0.1F && light_.to_sun.z > 0.06F;
  const BodySize& size = body_size(o.kind);
  const auto l = static_cast<float>(size.length / 2);
  const auto w = static_cast<float>(size.width / 2);
  for (int sample = 0; sample < kSamples; ++sample) {
    for (const bool contact : {false, true}) {
      if (!contact && !sunny) continue;
      std::array<Vec2, 32> points;
      int n = 0;
      if (contact) {
        // The ground below the body sees little sky, and less so towards its edge.
        const float grow = (static_cast<float>(sample) - 1.2F) * 0.13F;
        for (const auto& [x, y] : {std::pair{l, w}, {l, -w}, {-l, w}, {-l, -w}}) {
          const Vec3 p = place({x > 0 ? x + grow : x - grow, y > 0 ? y + grow : y - grow, 0});
          points[static_cast<std::size_t>(n++)] = {p.x, p.y};
        }
      } else {
        const float wobble = (static_cast<float>(sample) - 1.5F) * 0.016F;  // the sun is a disc
        const Vec3 to_sun{light_.to_sun.x + wobble, light_.to_sun.y - wobble, light_.to_sun.z + wobble};
        for (const Vec3& h : d.mesh->hull) {
          if (n == 32) break;
          const Vec3 p = place(h);
          const float t = p.z / to_sun.z;
          points[static_cast<std::size_t>(n++)] = {p.x - t * to_sun.x, p.y - t * to_sun.y};
        }
      }
      n = convex_hull(points, n);
      std::array<ClipVertex, 32> v;
      for (int i = 0; i < n; ++i) {
        v[static_cast<std::size_t>(i)].at =
            camera_.to_camera({static_cast<float>(points[static_cast<std::size_t>(i)].x),
                               static_cast<float>(points[static_cast<std::size_t>(i)].y), 0});
      }
      for (int i = 1; i + 1 < n; ++i) {
        clip_triangle(camera_, v[0], v[static_cast<std::size_t>(i)], v[static_cast<std::size_t>(i + 1)],
                      [&](const Corner& p, const Corner& q, const Corner& r) {
                        const Corner all[3] = {p, q, r};
                        mark(bounds(all, 3, width_, height_));
                        draw_shadow(target_, sample, contact, p, q, r,
                                    backdrop_.depth[static_cast<std::size_t>(sample)]);
                      });
      }
    }
  }
}

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

void Renderer::resolve(const Nv12& out) {
  for (int y = 0; y < height_; ++y) {
    std::memcpy(out.y + y * out.stride,
                still_y_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_),
                static_cast<std::size_t>(width_));
  }
  for (int y = 0; y < height_ / 2; ++y) {
    std::memcpy(out.uv + y * out.stride,
                still_uv_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_),
                static_cast<std::size_t>(width_));
  }
  const std::uint32_t* planes[kSamples];
  for (int s = 0; s < kSamples; ++s) planes[s] = target_.planes[static_cast<std::size_t>(s)].colour.data();
  const bool pools = light_.night > 0;
  for (int ty = 0; ty < tiles_y_; ++ty) {
    for (int tx = 0; tx < tiles_x_; ++tx) {
      if (dirty_[static_cast<std::size_t>(ty * tiles_x_ + tx)] == 0) continue;
      for (int y = ty * kTileH; y < std::min(height_, (ty + 1) * kTileH); y += 2) {
        for (int x = tx * kTileW; x < std::min(width_, (tx + 1) * kTileW); x += 2) {
          int sum_u = 0;
          int sum_v = 0;
          bool any = false;
          for (int k = 0; k < 4; ++k) {
            const int px = x + k % 2;
            const int py = y + k / 2;
            const std::size_t i =
                static_cast<std::size_t>(py) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(px);
            const std::uint32_t still = backdrop_.pixels[i];
            const std::uint32_t c0 = planes[0][i], c1 = planes[1][i], c2 = planes[2][i], c3 = planes[3][i];
            const std::uint8_t shade = target_.shadow[i];
            int by = static_cast<int>(still & 255), bu = static_cast<int>(still >> 8 & 255),
                bv = static_cast<int>(still >> 16 & 255);
            if ((c0 | c1 | c2 | c3 | shade | (pools ? pools_[i] : 0U)) == 0) {
              sum_u += bu;
              sum_v += bv;
              continue;
            }
            any = true;
            const auto share = static_cast<int>(still >> 24);
            if (share != 0 && shade != 0) {
              // Light is taken from linear radiance; in the picture's curve a share s of light is about s^(1/2.2),
              // here by its second-order fit 1 - 0.55 t - 0.25 t^2.
              constexpr int kCount[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
              const int sun = kCount[shade & 15] * share;           // of 4 * 255
              const int sky = kCount[shade >> 4] * 150;             // of 4 * 255
              const int taken = sun + sky - sun * sky / (4 * 255);  // of 4 * 255
              const int t = taken * 256 / (4 * 255);
              const int keep = 256 - (141 * t >> 8) - (64 * t * t >> 16);
              by = 16 + ((by - 16) * keep >> 8);
              bu = 128 + ((bu - 128) * keep >> 8);
              bv = 128 + ((bv - 128) * keep >> 8);
            }
            if (pools && share != 0) {
              const int add = pools_[i];
              by = std::min(235, by + add);
              bu = std::max(16, bu - add / 8);
            }
            int oy = 0, ou = 0, ov = 0, own = 0;
            for (int s = 0; s < kSamples; ++s) {
              const std::uint32_t c = planes[s][i];
              if (c >> 24 == 0) {
                oy += by;
                ou += bu;
                ov += bv;
                continue;
              }
              oy += static_cast<int>(c & 255);
              ou += static_cast<int>(c >> 8 & 255);
              ov += static_cast<int>(c >> 16 & 255);
              const auto owner = static_cast<int>(c >> 24);
              if (owner == kLampOwner) continue;
              Drawn& d = drawn_[static_cast<std::size_t>(owner - 1)];
              if (s == 0) ++d.seen0;
              // A pixel belongs to whom half of its samples show; it is counted when the second of them comes.
              own = 1;
              for (int e = 0; e < s; ++e) own += planes[e][i] >> 24 == static_cast<std::uint32_t>(owner) ? 1 : 0;
              if (own != 2) continue;
              if (d.visible_px++ == 0) {
                d.x0 = px;
                d.y0 = py;
                d.x1 = px + 1;
                d.y1 = py + 1;
              } else {
                d.x0 = std::min(d.x0, px);
                d.y0 = std::min(d.y0, py);
                d.x1 = std::max(d.x1, px + 1);
                d.y1 = std::max(d.y1, py + 1);
              }
            }
            out.y[py * out.stride + px] = static_cast<std::uint8_t>((oy + 2) >> 2);
            sum_u += (ou + 2) >> 2;
            sum_v += (ov + 2) >> 2;
          }
          if (any) {
            out.uv[(y / 2) * out.stride + x] = static_cast<std::uint8_t>((sum_u + 2) >> 2);
            out.uv[(y / 2) * out.stride + x + 1] = static_cast<std::uint8_t>((sum_v + 2) >> 2);
          }
        }
      }
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

void Renderer::rain(const Nv12& out, std::uint64_t index) {
  Rng rng(mix64(index) ^ 0x5261696EULL);
  const int drops = static_cast<int>(light_.rain * static_cast<float>(width_ * height_) / 2600);
  for (int i = 0; i < drops; ++i) {
    float x = static_cast<float>(rng.uniform()) * static_cast<float>(width_);
    const int y0 = static_cast<int>(rng.uniform() * height_);
    const double near = rng.uniform();
    const int length = static_cast<int>((0.012 + 0.05 * near * near) * height_) + 2;
    const float slant = 0.10F + 0.05F * static_cast<float>(rng.uniform());
    const int weight = static_cast<int>(10 + 34 * near);
    for (int y = y0; y < std::min(height_, y0 + length); ++y, x -= slant) {
      const int px = static_cast<int>(x);
      if (px < 0) break;
      std::uint8_t& luma = out.y[y * out.stride + px];
      const int bright = std::min(200, luma + 60);
      luma = static_cast<std::uint8_t>(luma + ((bright - luma) * weight >> 8));
    }
  }
}

void Renderer::noise(const Nv12& out, std::uint64_t index) {
  const std::size_t mask = noise_.size() - 1;
  for (int y = 0; y < height_ * 3 / 2; ++y) {
    const std::uint64_t h = mix64(index * 8192 + static_cast<std::uint64_t>(y));
    std::uint8_t* row = y < height_ ? out.y + y * out.stride : out.uv + (y - height_) * out.stride;
    std::size_t at = h & mask;
    for (int x = 0; x < width_;) {
      const int n = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(width_ - x), noise_.size() - at));
      const std::int8_t* grain = noise_.data() + at;
      for (int k = 0; k < n; ++k) {
        const int v = row[x + k] + grain[k];
        row[x + k] = static_cast<std::uint8_t>(v < 16 ? 16 : v > 240 ? 240 : v);
      }
      x += n;
      at = 0;
    }
  }
}

void Renderer::draw(const Snapshot& now, std::uint64_t index, const Nv12& out, std::vector<Sighting>& sightings) {
  clear_tiles();
  collect(now);
  const double seconds = static_cast<double>(now.at_ms) / 1000;
  for (const Drawn& d : drawn_) draw_shadows(d);
  for (std::size_t i = 0; i < drawn_.size(); ++i) draw_body(drawn_[i], static_cast<std::uint8_t>(i + 1), seconds);
  draw_lamps(now);
  if (light_.night > 0) {
    for (const Drawn& d : drawn_) draw_light_pools(d);
  }
  resolve(out);
  if (light_.headlights) glow_lights(out);
  if (light_.rain > 0) rain(out, index);
  noise(out, index);

  sightings.clear();
  for (const Drawn& d : drawn_) {
    if (d.outline == 0) continue;
    Sighting s;
    s.object = d.object;
    s.full = d.full;
    s.visible = {static_cast<float>(d.x0), static_cast<float>(d.y0), static_cast<float>(d.x1),
                 static_cast<float>(d.y1)};
    s.visible_px = d.visible_px;
    s.occlusion = std::clamp(1 - static_cast<float>(d.seen0) / static_cast<float>(d.outline), 0.0F, 1.0F);
    const float inside_w = std::min(d.full.x2, static_cast<float>(width_)) - std::max(d.full.x1, 0.0F);
    const float inside_h = std::min(d.full.y2, static_cast<float>(height_)) - std::max(d.full.y1, 0.0F);
    const float inside = std::max(inside_w, 0.0F) * std::max(inside_h, 0.0F);
    s.truncation = d.full.area() > 0 ? std::clamp(1 - inside / d.full.area(), 0.0F, 1.0F) : 0;
    sightings.push_back(s);
  }
  std::sort(sightings.begin(), sightings.end(),
            [](const Sighting& a, const Sighting& b) { return a.object->id < b.object->id; });
}

}  // namespace gantry::scene
