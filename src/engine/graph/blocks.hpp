#pragma once
#include "gantry/engine/graph/plan.hpp"

namespace gantry::graph {

/// Finds runs of ops that one kernel may cover and notes them in plan.blocks and Op::block.
void mark_blocks(Plan& plan);

}  // namespace gantry::graph
