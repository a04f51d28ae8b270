#include "scene/ground.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::scene {
namespace {

std::uint32_t hash(std::uint32_t x, std::uint32_t y, std::uint32_t seed) noexcept {
  std::uint32_t h = x * 0x8DA6B343U ^ y * 0xD8163841U ^ seed * 0xCB1AB31FU;
  h = (h ^ (h >> 15)) * 0x2C1B3C6DU;
  h = (h ^ (h >> 12)) * 0x297A2D39U;
  return h ^ (h >> 15);
}

float lattice(int x, int y, std::uint32_t seed) noexcept {
  return static_cast<float>(hash(static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), seed) >> 8) * 0x1.0p-24F;
}

/// Distance outside a convex counter-clockwise polygon, negative inside.
float outside(const std::vector<Vec2>& points, float x, float y) noexcept {
  double far = -1e9;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Vec2 a = points[i];
    const Vec2 d = points[(i + 1) % points.size()] - a;
    const double n = norm(d);
    if (n > 1e-9) far = std::max(far, (d.y * (x - a.x) - d.x * (y - a.y)) / n);
  }
  return static_cast<float>(far);
}

/// 1 inside, 0 outside, a ramp of a pixel's size between.
float cover(float distance_outside, float blur) noexcept {
  return std::clamp(0.5F - distance_outside / blur, 0.0F, 1.0F);
}

}  // namespace

float value_noise(float x, float y, std::uint32_t seed) noexcept {
  const float fx = std::floor(x);
  const float fy = std::floor(y);
  const int ix = static_cast<int>(fx);
  const int iy = static_cast<int>(fy);
  float tx = x - fx;
  float ty = y - fy;
  tx = tx * tx * (3 - 2 * tx);
  ty = ty * ty * (3 - 2 * ty);
  const float a = lattice(ix, iy, seed) + tx * (lattice(ix + 1, iy, seed) - lattice(ix, iy, seed));
  const float b = lattice(ix, iy + 1, seed) + tx * (lattice(ix + 1, iy + 1, seed) - lattice(ix, iy + 1, seed));
  return a + ty * (b - a);
}

template <typename Add>
void Ground::in_cells(double x0, double y0, double x1, double y1, Add&& add) {
  const auto index = [&](double v) { return std::clamp(static_cast<int>((v + extent_) / kCell), 0, side_ - 1); };
  for (int j = index(y0 - 0.5); j <= index(y1 + 0.5); ++j) {
    for (int i = index(x0 - 0.5); i <= index(x1 + 0.5); ++i) add(cells_[static_cast<std::size_t>(j * side_ + i)]);
  }
}

Ground::Ground(const Layout& layout) : extent_(static_cast<float>(layout.extent)) {
  side_ = static_cast<int>(2 * extent_ / kCell) + 1;
  cells_.resize(static_cast<std::size_t>(side_ * side_));
  const auto add_polygon = [&](std::vector<Convex>& list, std::vector<int> Cell::*member,
                               const std::vector<Vec2>& points, Surface surface, bool paint) {
    Convex convex{points, surface, paint};
    double x0 = 1e9, y0 = 1e9, x1 = -1e9, y1 = -1e9, area = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const Vec2 p = points[i];
      const Vec2 q = points[(i + 1) % points.size()];
      area += p.x * q.y - q.x * p.y;
      x0 = std::min(x0, p.x);
      x1 = std::max(x1, p.x);
      y0 = std::min(y0, p.y);
      y1 = std::max(y1, p.y);
    }
    if (area < 0) std::reverse(convex.points.begin(), convex.points.end());
    const int id = static_cast<int>(list.size());
    list.push_back(std::move(convex));
    in_cells(x0, y0, x1, y1, [&](Cell& c) { (c.*member).push_back(id); });
  };
  for (const GroundPatch& p : layout.ground) add_polygon(patches_, &Cell::patches, p.points, p.surface, false);
  for (const PaintPatch& p : layout.paint) add_polygon(paint_, &Cell::paint, p.points, Surface::kAsphalt, true);
  for (const Marking& m : layout.markings) {
    double along = 0;
    for (std::size_t i = 0; i + 1 < m.points.size(); ++i) {
      Segment s{m.points[i],
                m.points[i + 1],
                static_cast<float>(m.width / 2),
                static_cast<float>(m.dash),
                static_cast<float>(m.dash + m.gap),
                static_cast<float>(along),
                m.yellow,
                m.wear > 0,
                static_cast<float>(m.wear > 0 ? m.wear : 1)};
      along += norm(m.points[i + 1] - m.points[i]);
      const int id = static_cast<int>(segments_.size());
      segments_.push_back(s);
      // A long oblique segment would fill its whole rectangle: walk along it instead.
      const double length = norm(s.b - s.a);
      const int pieces = std::max(1, static_cast<int>(length / kCell));
      for (int k = 0; k < pieces; ++k) {
        const Vec2 p = s.a + (static_cast<double>(k) / pieces) * (s.b - s.a);
        const Vec2 q = s.a + (static_cast<double>(k + 1) / pieces) * (s.b - s.a);
        in_cells(std::min(p.x, q.x) - m.width, std::min(p.y, q.y) - m.width, std::max(p.x, q.x) + m.width,
                 std::max(p.y, q.y) + m.width, [&](Cell& c) {
                   if (c.segments.empty() || c.segments.back() != id) c.segments.push_back(id);
                 });
      }
    }
  }
}

const Ground::Cell* Ground::cell(float x, float y) const noexcept {
  if (!(std::fabs(x) < extent_ && std::fabs(y) < extent_)) return nullptr;
  const int i = static_cast<int>((x + extent_) / kCell);
  const int j = static_cast<int>((y + extent_) / kCell);
  return &cells_[static_cast<std::size_t>(std::min(j, side_ - 1) * side_ + std::min(i, side_ - 1))];
}

Ground::Sample Ground::at(float x, float y, float blur) const noexcept {
  const float soft = std::max(blur, 0.015F);
  Surface surface = Surface::kGrass;
  const Cell* c = cell(x, y);
  float edge = 1;  // how deep inside the uppermost patch, for kerbs
  if (c != nullptr) {
    for (const int i : c->patches) {
      const float d = outside(patches_[static_cast<std::size_t>(i)].points, x, y);
      if (d <= 0) {
        surface = patches_[static_cast<std::size_t>(i)].surface;
        edge = -d;
      }
    }
  }
  // Noise of several sizes; what is smaller than the pixel fades out.
  const float coarse = value_noise(x * 0.16F, y * 0.16F, 1) - 0.5F;
  const float medium = value_noise(x * 0.9F, y * 0.9F, 2) - 0.5F;
  const float fine = blur < 0.25F ? (value_noise(x * 9, y * 9, 3) - 0.5F) * (1 - blur * 4) : 0.0F;
  const float grain = blur < 0.06F ? (value_noise(x * 38, y * 38, 4) - 0.5F) * (1 - blur * 16) : 0.0F;
  Sample sample;
  switch (surface) {
    case Surface::kAsphalt: {
      float v = 0.118F + 0.022F * coarse + 0.016F * medium + 0.018F * fine + 0.03F * grain;
      sample.albedo = {v * 1.01F, v, v * 0.985F};
      sample.gloss = 1;
      break;
    }
    case Surface::kPavement: {
      // Slabs of 0.6 m with dark joints.
      float v = 0.27F + 0.03F * coarse + 0.03F * medium + 0.025F * fine;
      const float jx = std::fabs(x / 0.6F - std::floor(x / 0.6F) - 0.5F);
      const float jy = std::fabs(y / 0.6F - std::floor(y / 0.6F) - 0.5F);
      if (blur < 0.2F && (jx > 0.475F || jy > 0.475F)) v *= 0.75F + blur;
      if (edge < 0.18F) v = 0.36F;  // kerbstone
      sample.albedo = {v, v * 0.985F, v * 0.95F};
      sample.gloss = 0.5F;
      break;
    }
    case Surface::kGravel: {
      const float v = 0.20F + 0.05F * medium + 0.06F * fine + 0.05F * grain;
      sample.albedo = {v, v * 0.96F, v * 0.88F};
      sample.gloss = 0.2F;
      break;
    }
    case Surface::kMedian:
    case Surface::kGrass: {
      if (surface == Surface::kMedian && edge < 0.18F) {
        sample.albedo = {0.36F, 0.355F, 0.34F};
        sample.gloss = 0.5F;
        break;
      }
      const float dry = value_noise(x * 0.07F, y * 0.07F, 7);
      const float v = 1 + 0.5F * coarse + 0.35F * medium + 0.5F * fine + 0.4F * grain;
      sample.albedo = v * mix(Vec3{0.060F, 0.098F, 0.028F}, Vec3{0.115F, 0.115F, 0.050F}, dry * dry);
      break;
    }
  }
  if (c == nullptr) return sample;
  float white = 0;
  float yellow = 0;
  float wear = 0;
  for (const int i : c->segments) {
    const Segment& s = segments_[static_cast<std::size_t>(i)];
    const Vec2 d = s.b - s.a;
    const double n = norm(d);
    const double along = ((x - s.a.x) * d.x + (y - s.a.y) * d.y) / n;
    if (along < 0 || along > n) continue;
    const auto across = static_cast<float>(std::fabs((x - s.a.x) * d.y - (y - s.a.y) * d.x) / n);
    if (s.wear) {
      // Rounded, from full in the middle to nothing at the edge.
      const float t = across / s.half_width;
      if (t < 1) wear = std::max(wear, s.strength * (1 - t * t));
      continue;
    }
    float a = cover(across - s.half_width, soft);
    if (a > 0 && soft > 2 * s.half_width) a = std::min(a, 2 * s.half_width / soft);
    if (a > 0 && s.dash > 0) {
      const float at = static_cast<float>(along) + s.offset;
      const float m = at - std::floor(at / s.period) * s.period;
      a *= cover(std::max(-m, m - s.dash), soft);
    }
    (s.yellow ? yellow : white) = std::max(s.yellow ? yellow : white, a);
  }
  for (const int i : c->paint)
    white = std::max(white, cover(outside(paint_[static_cast<std::size_t>(i)].points, x, y), soft));
  if (wear > 0) sample.albedo = (1 - wear) * sample.albedo;
  const float worn = 0.80F + 0.30F * medium + 0.25F * fine - wear;
  if (white > 0) sample.albedo = mix(sample.albedo, {0.62F, 0.62F, 0.60F}, white * std::clamp(worn, 0.3F, 0.95F));
  if (yellow > 0) sample.albedo = mix(sample.albedo, {0.58F, 0.40F, 0.06F}, yellow * std::clamp(worn, 0.3F, 0.95F));
  return sample;
}

}  // namespace gantry::scene
