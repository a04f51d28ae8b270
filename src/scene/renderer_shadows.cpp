// What the bodies take from the ground: the sun behind them and the sky above.
#include <algorithm>

#include "scene/project.hpp"
#include "scene/renderer.hpp"

namespace gantry::scene {
namespace {

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

}  // namespace gantry::scene
