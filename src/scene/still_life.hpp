#pragma once
// The triangles of everything that stands: buildings, trees, poles, barriers.
#include <vector>

#include "scene/layout.hpp"
#include "scene/vec3.hpp"

namespace gantry::scene {

struct StillTriangle {
  Vec3 corner[3];
  Vec3 normal;
  Vec3 albedo;
  Vec3 glow;          ///< light of its own, linear
  float mirror = 0;   ///< share of the surroundings it reflects: glass
  bool leaf = false;  ///< lit from both sides, softer
};

[[nodiscard]] std::vector<StillTriangle> still_life(const Layout& layout, float night);

}  // namespace gantry::scene
