#include "scene/raster.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::scene {
namespace {

float least(float a, float b) noexcept {
  return a < b ? a : b;
}
float most(float a, float b) noexcept {
  return a > b ? a : b;
}
/// The smallest whole number not below `v`, for |v| < 2^24.
int above(float v) noexcept {
  const int i = static_cast<int>(v);
  return i + (static_cast<float>(i) < v ? 1 : 0);
}

/// A triangle's edges, ready to be walked from row to row.
class Edges {
 public:
  Edges(const Corner& a, const Corner& b, const Corner& c) : p_{&a, &b, &c} {
    if (p_[1]->y < p_[0]->y) std::swap(p_[0], p_[1]);
    if (p_[2]->y < p_[1]->y) std::swap(p_[1], p_[2]);
    if (p_[1]->y < p_[0]->y) std::swap(p_[0], p_[1]);
    left_ = least(least(a.x, b.x), c.x);
    right_ = most(most(a.x, b.x), c.x);
    whole_ = slope(*p_[0], *p_[2]);
    upper_ = slope(*p_[0], *p_[1]);
    lower_ = slope(*p_[1], *p_[2]);
  }

  /// Calls row(y, x0, x1) for every row that is covered at the sample (ox, oy) of its pixels: pixels x0 … x1-1.
  template <typename Row>
  void rows(int width, int height, float ox, float oy, Row&& row) const {
    const float top = most(p_[0]->y - oy, -1);
    const float bottom = least(p_[2]->y - oy, static_cast<float>(height) + 1);
    const auto limit = static_cast<float>(width);
    if (!(top < bottom) || right_ - ox <= 0 || left_ - ox >= limit) return;
    const int y0 = std::max(0, above(top));
    const int y1 = std::min(height, above(bottom));
    for (int y = y0; y < y1; ++y) {
      const float cy = static_cast<float>(y) + oy;
      const float xa = p_[0]->x + whole_ * (cy - p_[0]->y);
      const float xb = cy < p_[1]->y ? p_[0]->x + upper_ * (cy - p_[0]->y) : p_[1]->x + lower_ * (cy - p_[1]->y);
      const int x0 = above(most(least(xa, xb) - ox, 0));
      const int x1 = above(least(most(xa, xb) - ox, limit));
      if (x0 < x1) row(y, x0, x1);
    }
  }

 private:
  static float slope(const Corner& from, const Corner& to) noexcept {
    const float dy = to.y - from.y;
    return dy > 1e-6F ? (to.x - from.x) / dy : 0.0F;
  }
  const Corner* p_[3];
  float left_, right_, whole_, upper_, lower_;
};

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

/// A colour channel: its plane and the range of its corners, which rounding must not leave.
struct Channel {
  Plane2 plane;
  float low, high;
  Channel(const Corner& a, const Corner& b, const Corner& c, float va, float vb, float vc, float inverse)
      : plane(a, b, c, va, vb, vc, inverse), low(least(least(va, vb), vc)), high(most(most(va, vb), vc)) {}
  [[nodiscard]] float at(float x, float y) const noexcept { return least(most(plane.at(x, y), low), high); }
};

float inverse_area(const Corner& a, const Corner& b, const Corner& c) noexcept {
  const float area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
  return std::fabs(area) > 1e-5F ? 1 / area : 0;
}

/// Whether any sample of the target may lie inside: most triangles of distant bodies cover none.
bool reaches(const RasterTarget& target, const Corner& a, const Corner& b, const Corner& c, Shift shift) noexcept {
  const float mx = 1.5F * std::fabs(shift.x);
  const float my = 1.5F * std::fabs(shift.y);
  return most(most(a.x, b.x), c.x) + mx > 0 && least(least(a.x, b.x), c.x) - mx < static_cast<float>(target.width) &&
         most(most(a.y, b.y), c.y) + my > 0 && least(least(a.y, b.y), c.y) - my < static_cast<float>(target.height);
}

constexpr float kFixed = 65536;

}  // namespace

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

int draw_triangle(RasterTarget& target, const Corner& a, const Corner& b, const Corner& c, Shift shift,
                  std::uint8_t owner, bool count_touched) {
  const float inverse = inverse_area(a, b, c);
  if (inverse == 0 || !reaches(target, a, b, c, shift)) return 0;
  const Edges edges(a, b, c);
  const Plane2 w(a, b, c, a.w, b.w, c.w, inverse);
  const Channel py(a, b, c, a.colour.y, b.colour.y, c.colour.y, inverse);
  const Channel pu(a, b, c, a.colour.u, b.colour.u, c.colour.u, inverse);
  const Channel pv(a, b, c, a.colour.v, b.colour.v, c.colour.v, inverse);
  const std::uint32_t tag = static_cast<std::uint32_t>(owner) << 24;
  int fresh = 0;
  for (int s = 0; s < kSamples; ++s) {
    SamplePlane& out = target.planes[static_cast<std::size_t>(s)];
    // A triangle that moves by d under a sample is a sample that moves by -d over the triangle.
    const float moment = static_cast<float>(s) - 1.5F;
    const float ox = kSampleOffset[static_cast<std::size_t>(s)][0] - moment * shift.x;
    const float oy = kSampleOffset[static_cast<std::size_t>(s)][1] - moment * shift.y;
    edges.rows(target.width, target.height, ox, oy, [&](int y, int x0, int x1) {
      const float cx = static_cast<float>(x0) + ox;
      const float cy = static_cast<float>(y) + oy;
      const std::size_t row = static_cast<std::size_t>(y) * static_cast<std::size_t>(target.width);
      float* depth = out.depth.data() + row;
      std::uint32_t* colour = out.colour.data() + row;
      float wv = w.at(cx, cy);
      const float ya = py.at(cx, cy);
      const float ua = pu.at(cx, cy);
      const float va = pv.at(cx, cy);
      auto yi = static_cast<int>((ya + 0.5F) * kFixed);
      auto ui = static_cast<int>((ua + 0.5F) * kFixed);
      auto vi = static_cast<int>((va + 0.5F) * kFixed);
      int dy = 0;
      int du = 0;
      int dv = 0;
      if (x1 - x0 > 1) {
        const auto last = static_cast<float>(x1 - 1 - x0);
        const float per = kFixed / last;
        dy = static_cast<int>((py.at(cx + last, cy) - ya) * per);
        du = static_cast<int>((pu.at(cx + last, cy) - ua) * per);
        dv = static_cast<int>((pv.at(cx + last, cy) - va) * per);
      }
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
      if (count_touched && s == 0) {
        std::uint8_t* touched = target.touched.data() + row;
        for (int x = x0; x < x1; ++x) {
          fresh += touched[x] != owner ? 1 : 0;
          touched[x] = owner;
        }
      }
    });
  }
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
  Edges(a, b, c).rows(target.width, target.height, ox, oy, [&](int y, int x0, int x1) {
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
  Edges(a, b, c).rows(width, height, 0.5F, 0.5F, [&](int y, int x0, int x1) {
    std::uint8_t* row = plane.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    float v = amount.at(static_cast<float>(x0) + 0.5F, static_cast<float>(y) + 0.5F);
    for (int x = x0; x < x1; ++x) {
      row[x] = static_cast<std::uint8_t>(std::min(255, row[x] + std::max(0, static_cast<int>(v))));
      v += amount.dx;
    }
  });
}

}  // namespace gantry::scene
