#pragma once
#include <algorithm>

#include "gantry/engine/backend.hpp"

namespace gantry::app {

/// The largest batch worth preparing: a CPU runs several frames side by side and gains nothing from batches; a GPU
/// does.
[[nodiscard]] inline int useful_batch(const engine::Capabilities& capabilities, int wanted) {
  return capabilities.device == "cpu" ? 1 : std::clamp(wanted, 1, std::max(1, capabilities.max_batch));
}

}  // namespace gantry::app
