#include "gantry/engine/graph/quantizer.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::graph {

int Quantizer::quantize(float value) const noexcept {
  const float step = std::nearbyint(value / scale);
  return static_cast<int>(
      std::clamp(step + static_cast<float>(zero_point), static_cast<float>(lowest), static_cast<float>(highest)));
}

}  // namespace gantry::graph
