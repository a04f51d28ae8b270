#pragma once
// Runs an unfused graph node by node in float32, rounding what the graph says is rounded: the reference that the fused
// plan is checked against, and the float run of quantisation. Slow and plain. Thread-safe: run() keeps its state to
// itself.
#include <functional>
#include <vector>

#include "gantry/engine/graph/graph.hpp"

namespace gantry::graph {

class Interpreter {
 public:
  /// Sees every float tensor as soon as it is computed (the input first, with an empty node) and may change it before
  /// anybody reads it.
  using Observer = std::function<void(const Node& node, const std::string& tensor, Tensor& value)>;

  explicit Interpreter(Graph graph);

  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  /// The graph's outputs, in its order. @throws ModelError where the input's size doesn't fit the graph
  [[nodiscard]] std::vector<Tensor> run(const Tensor& input, const Observer& observer = {}) const;

 private:
  Graph graph_;
};

}  // namespace gantry::graph
