#pragma once
// Decides in which buffer and at which channel each computed tensor lies, so that joins and splits are views.
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/graph/fusion.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::graph {

struct Layout {
  std::vector<Buffer> buffers;
  std::unordered_map<std::string, View> roots;  ///< of every computed tensor and of the input
};

/// Lays the roots of as many joins as possible side by side in one buffer; every other root gets its own. May add
/// CopyOps to `graph` (behind their producers) where an op can't read what it joins or enlarges in place.
[[nodiscard]] Layout lay_out(FusedGraph& graph, const std::string& input, const PlanOptions& options);

/// The views through which an op reads a tensor, neighbours merged.
[[nodiscard]] std::vector<View> views_of(const FusedGraph& graph, const Layout& layout, const std::string& tensor);

}  // namespace gantry::graph
