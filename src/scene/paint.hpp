#pragma once
// Albedos of an object's materials, drawn from its look.
#include <array>

#include "scene/mesh.hpp"
#include "scene/world.hpp"

namespace gantry::scene {

using Palette = std::array<Vec3, kMaterialCount>;
[[nodiscard]] Palette palette_of(const ObjectState& object);

}  // namespace gantry::scene
