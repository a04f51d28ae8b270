#pragma once
// The motorway: two carriageways of three lanes and a hard shoulder, seen from bridges and poles.
#include "scene/layout.hpp"
#include "scene/network.hpp"

namespace gantry::scene::motorway {
[[nodiscard]] Network network();
[[nodiscard]] Layout layout();
}  // namespace gantry::scene::motorway
