#include "scene/raster.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::scene {
namespace {

/// Calls row(y, x0, x1) for every row that the triangle covers at sample (ox, oy): pixels x0 … x1-1.
template <typename Row>
void for_rows(int width, int height, float ox, float oy, const Corner& a, const Corner& b, const Corner& c, Row&& row) {
  const Corner* p[3] = {&a, &b, &c};
  if (p[1]->y < p[0]->y) std::swap(p[0], p[1]);
  if (p[2]->y < p[1]->y) std::swap(p[1], p[2]);
  if (p[1]->y < p[0]->y) std::swap(p[0], p[1]);
  const float top = std::fmax(p[0]->y, -1.0F);
  const float bottom = std::fmin(p[2]->y, static_cast<float>(height) + 1);
  if (!(top < bottom)) return;
  const int y0 = std::max(0, static_cast<int>(std::ceil(top - oy)));
  const int y1 = std::min(height - 1, static_cast<int>(std::ceil(bottom - oy)) - 1);
  if (y0 > y1) return;
  const auto slope = [](const Corner& from, const Corner& to) {
    const float dy = to.y - from.y;
    return dy > 1e-6F ? (to.x - from.x) / dy : 0.0F;
  };
  const float whole = slope(*p[0], *p[2]);
  const float upper = slope(*p[0], *p[1]);
  const float lower = slope(*p[1], *p[2]);
  const auto limit = static_cast<float>(width);
  for (int y = y0; y <= y1; ++y) {
    const float cy = static_cast<float>(y) + oy;
    const float xa = p[0]->x + whole * (cy - p[0]->y);
    const float xb = cy < p[1]->y ? p[0]->x + upper * (cy - p[0]->y) : p[1]->x + lower * (cy - p[1]->y);
    const float left = std::clamp(std::fmin(xa, xb), -1.0F, limit + 1);
    const float right = std::clamp(std::fmax(xa, xb), -1.0F, limit + 1);
    const int x0 = std::max(0, static_cast<int>(std::ceil(left - ox)));
    const int x1 = std::min(width, static_cast<int>(std::ceil(right - ox)));
    if (x0 < x1) row(y, x0, x1);
  }
}

/// Linear function over the image: value at (0, 0) and steps.
struct Plane2 {
  float dx = 0, dy = 0, origin = 0;
  Plane2(const Corner& a, const Corner& b, const Corner& c, float va, float vb, float vc, float inverse) {
    dx = ((vb - va) * (c.y - a.y) - (vc - va) * (b.y - a.y)) * inverse;
    dy = ((vc - va) * (b.x - a.x) - (vb - va) * (c.x - a.x)) * inverse;
    origin = va - dx * a.x - dy * a.y;
  }
  [[nodiscard]] float at(float x, float y) const noexcept { return origin + dx * x + dy * y; }
};

float inverse_area(const Corner& a, const Corner& b, const Corner& c) noexcept {
  const float area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
  return std::fabs(area) > 1e-5F ? 1 / area : 0;
}

constexpr float kFixed = 65536;
// Room for extrapolation outside a sliver's corners before the byte would wrap.
int fixed(float v, float low, float high) noexcept {
  return static_cast<int>(std::clamp(v, low, high) * kFixed);
}

}  // namespace

void Rect::include(const Rect& r) noexcept {
  if (r.empty()) return;
  if (empty()) {
    *this = r;
    return;
  }
  x0 = std::min(x0, r.x0);
  y0 = std::min(y0, r.y0);
  x1 = std::max(x1, r.x1);
  y1 = std::max(y1, r.y1);
}

void RasterTarget::resize(int w, int h, bool owners) {
  width = w;
  height = h;
  const std::size_t n = static_cast<std::size_t>(w) * static_cast<std::size_t>(h);
  for (SamplePlane& plane : planes) {
    plane.colour.assign(n, 0);
    plane.depth.assign(n, 0);
  }
  shadow.assign(n, 0);
  if (owners) touched.assign(n, 0);
}

int draw_triangle(RasterTarget& target, int plane, const Corner& a, const Corner& b, const Corner& c,
                  std::uint8_t owner, bool count_touched) {
  const float inverse = inverse_area(a, b, c);
  if (inverse == 0) return 0;
  SamplePlane& out = target.planes[static_cast<std::size_t>(plane)];
  const float ox = kSampleOffset[static_cast<std::size_t>(plane)][0];
  const float oy = kSampleOffset[static_cast<std::size_t>(plane)][1];
  const Plane2 w(a, b, c, a.w, b.w, c.w, inverse);
  const Plane2 py(a, b, c, a.colour.y, b.colour.y, c.colour.y, inverse);
  const Plane2 pu(a, b, c, a.colour.u, b.colour.u, c.colour.u, inverse);
  const Plane2 pv(a, b, c, a.colour.v, b.colour.v, c.colour.v, inverse);
  const float y_low = std::min({a.colour.y, b.colour.y, c.colour.y}),
              y_high = std::max({a.colour.y, b.colour.y, c.colour.y});
  const float u_low = std::min({a.colour.u, b.colour.u, c.colour.u}),
              u_high = std::max({a.colour.u, b.colour.u, c.colour.u});
  const float v_low = std::min({a.colour.v, b.colour.v, c.colour.v}),
              v_high = std::max({a.colour.v, b.colour.v, c.colour.v});
  const std::uint32_t tag = static_cast<std::uint32_t>(owner) << 24;
  int fresh = 0;
  for_rows(target.width, target.height, ox, oy, a, b, c, [&](int y, int x0, int x1) {
    const float cx = static_cast<float>(x0) + ox;
    const float cy = static_cast<float>(y) + oy;
    const float last = static_cast<float>(x1 - 1 - x0);
    const std::size_t row = static_cast<std::size_t>(y) * static_cast<std::size_t>(target.width);
    float* depth = out.depth.data() + row;
    std::uint32_t* colour = out.colour.data() + row;
    float wv = w.at(cx, cy);
    const float ya = std::clamp(py.at(cx, cy), y_low, y_high), yb = std::clamp(py.at(cx + last, cy), y_low, y_high);
    const float ua = std::clamp(pu.at(cx, cy), u_low, u_high), ub = std::clamp(pu.at(cx + last, cy), u_low, u_high);
    const float va = std::clamp(pv.at(cx, cy), v_low, v_high), vb = std::clamp(pv.at(cx + last, cy), v_low, v_high);
    const float per = last > 0 ? 1 / last : 0;
    int yi = fixed(ya + 0.5F, 0, 255), ui = fixed(ua + 0.5F, 0, 255), vi = fixed(va + 0.5F, 0, 255);
    const int dy = static_cast<int>((yb - ya) * per * kFixed), du = static_cast<int>((ub - ua) * per * kFixed),
              dv = static_cast<int>((vb - va) * per * kFixed);
    for (int x = x0; x < x1; ++x) {
      if (wv > depth[x]) {
        depth[x] = wv;
        colour[x] = static_cast<std::uint32_t>(yi >> 16) | (static_cast<std::uint32_t>(ui >> 8) & 0xFF00U) |
                    (static_cast<std::uint32_t>(vi) & 0xFF0000U) | tag;
      }
      wv += w.dx;
      yi += dy;
      ui += du;
      vi += dv;
    }
    if (count_touched) {
      std::uint8_t* touched = target.touched.data() + row;
      for (int x = x0; x < x1; ++x) {
        fresh += touched[x] != owner ? 1 : 0;
        touched[x] = owner;
      }
    }
  });
  return fresh;
}

void draw_shadow(RasterTarget& target, int plane, bool contact, const Corner& a, const Corner& b, const Corner& c,
                 const std::vector<float>& still) {
  const float inverse = inverse_area(a, b, c);
  if (inverse == 0) return;
  const float ox = kSampleOffset[static_cast<std::size_t>(plane)][0];
  const float oy = kSampleOffset[static_cast<std::size_t>(plane)][1];
  const Plane2 w(a, b, c, a.w, b.w, c.w, inverse);
  const auto bit = static_cast<std::uint8_t>(1 << (plane + (contact ? kSamples : 0)));
  for_rows(target.width, target.height, ox, oy, a, b, c, [&](int y, int x0, int x1) {
    const std::size_t row = static_cast<std::size_t>(y) * static_cast<std::size_t>(target.width);
    std::uint8_t* shadow = target.shadow.data() + row;
    const float* depth = still.data() + row;
    float wv = w.at(static_cast<float>(x0) + ox, static_cast<float>(y) + oy) * 1.03F;
    const float step = w.dx * 1.03F;
    for (int x = x0; x < x1; ++x) {
      if (wv >= depth[x]) shadow[x] = static_cast<std::uint8_t>(shadow[x] | bit);
      wv += step;
    }
  });
}

void draw_glow(std::vector<std::uint8_t>& plane, int width, int height, const Corner& a, const Corner& b,
               const Corner& c) {
  const float inverse = inverse_area(a, b, c);
  if (inverse == 0) return;
  const Plane2 amount(a, b, c, a.colour.y, b.colour.y, c.colour.y, inverse);
  for_rows(width, height, 0.5F, 0.5F, a, b, c, [&](int y, int x0, int x1) {
    std::uint8_t* row = plane.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    float v = amount.at(static_cast<float>(x0) + 0.5F, static_cast<float>(y) + 0.5F);
    for (int x = x0; x < x1; ++x) {
      row[x] = static_cast<std::uint8_t>(std::min(255, row[x] + std::max(0, static_cast<int>(v))));
      v += amount.dx;
    }
  });
}

}  // namespace gantry::scene
