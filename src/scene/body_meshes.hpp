#pragma once
// Builders of the meshes behind body_mesh().
#include <algorithm>

#include "scene/mesh.hpp"

namespace gantry::scene {

[[nodiscard]] Mesh car_mesh(BodyKind kind, bool far);
[[nodiscard]] Mesh truck_mesh(BodyKind kind, bool far);
[[nodiscard]] Mesh bus_mesh(BodyKind kind, bool far);
/// `phase` 0…1 of the pedals' or legs' turn.
[[nodiscard]] Mesh cycle_mesh(BodyKind kind, double phase, bool far);
[[nodiscard]] Mesh person_mesh(double phase, bool far);

}  // namespace gantry::scene
