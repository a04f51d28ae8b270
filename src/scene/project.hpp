#pragma once
// From camera coordinates into the image, cut at the near plane.
#include <algorithm>

#include "scene/camera.hpp"
#include "scene/raster.hpp"

namespace gantry::scene {

inline constexpr float kNear = 0.35F;  // metres

struct ClipVertex {
  Vec3 at;  ///< camera coordinates
  Yuv colour;
};

[[nodiscard]] inline Corner to_corner(const Camera& camera, const ClipVertex& v) noexcept {
  Corner c;
  camera.to_pixels(v.at, c.x, c.y);
  c.w = 1 / v.at.z;
  c.colour = v.colour;
  return c;
}

/// Calls emit(a, b, c) for each triangle that is left in front of the near plane.
template <typename Emit>
void clip_triangle(const Camera& camera, const ClipVertex& a, const ClipVertex& b, const ClipVertex& c, Emit&& emit) {
  const ClipVertex* in[3] = {&a, &b, &c};
  ClipVertex out[4];
  int n = 0;
  for (int i = 0; i < 3; ++i) {
    const ClipVertex& p = *in[i];
    const ClipVertex& q = *in[(i + 1) % 3];
    if (p.at.z >= kNear) out[n++] = p;
    if ((p.at.z >= kNear) != (q.at.z >= kNear)) {
      const float t = (kNear - p.at.z) / (q.at.z - p.at.z);
      ClipVertex& m = out[n++];
      m.at = mix(p.at, q.at, t);
      m.at.z = kNear;
      m.colour = {p.colour.y + t * (q.colour.y - p.colour.y), p.colour.u + t * (q.colour.u - p.colour.u),
                  p.colour.v + t * (q.colour.v - p.colour.v)};
    }
  }
  if (n < 3) return;
  Corner corner[4];
  for (int i = 0; i < n; ++i) corner[i] = to_corner(camera, out[i]);
  emit(corner[0], corner[1], corner[2]);
  if (n == 4) emit(corner[0], corner[2], corner[3]);
}

}  // namespace gantry::scene
