#pragma once
// Finds the detection head in a graph by its structure.
#include "gantry/engine/graph/model.hpp"

namespace gantry::graph {

/// `native` is the whole graph at its exported size. @throws ModelError naming what is missing
[[nodiscard]] Head find_head(const SizedGraph& native);

}  // namespace gantry::graph
