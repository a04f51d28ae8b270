#include "scene/renderer.hpp"

#include <algorithm>
#include <cstring>

namespace gantry::scene {
namespace {

constexpr int kMostObjects = 254;

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
