#pragma once
// Everything of one camera's picture that does not move: ground, markings, buildings, trees, poles, sky and their
// shadows, drawn once. Read-only afterwards.
#include <array>
#include <cstdint>
#include <vector>

#include "scene/camera.hpp"
#include "scene/layout.hpp"
#include "scene/light.hpp"
#include "scene/raster.hpp"

namespace gantry::scene {

struct Backdrop {
  Backdrop(const Layout& layout, const Camera& camera, const Light& light, const Film& film);

  int width, height;
  /// Y | U << 8 | V << 16 | share of the light that a shadow would take << 24 (0 where nothing can be shaded).
  std::vector<std::uint32_t> pixels;
  std::array<std::vector<float>, kSamples> depth;  ///< 1/m of the nearest still surface
  std::vector<Vec3> lamps;                         ///< lamp heads, metres
};

/// Illumination by street lamps at a point with this normal, linear.
[[nodiscard]] Vec3 lamp_light(const std::vector<Vec3>& lamps, Vec3 at, Vec3 normal) noexcept;

}  // namespace gantry::scene
