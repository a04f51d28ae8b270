#pragma once
// Passes over the unfused graph. Each takes and gives plain graphs; none changes what the graph computes, except cut(),
// which stops earlier, and thaw(), which frees a graph from the size that it was exported for.
#include <string>
#include <unordered_map>
#include <vector>

#include "gantry/engine/graph/graph.hpp"

namespace gantry::graph {

/// A graph for one input size: every tensor's size is known, everything that follows from sizes and constants alone is
/// a constant, and what no output needs is gone.
struct SizedGraph {
  Graph graph;
  std::unordered_map<std::string, Dims> dims;  ///< of every non-constant tensor, the input included

  [[nodiscard]] const Dims& dims_of(const std::string& tensor) const;
};
/// Shape inference, constant folding, dead-code removal. `input` is [batch, 3, height, width].
/// @throws ModelError naming the node where sizes don't fit
[[nodiscard]] SizedGraph specialise(const Graph& graph, const Dims& input);

/// The part of the graph that computes `outputs`.
[[nodiscard]] Graph cut(const Graph& graph, const std::vector<std::string>& outputs);

/// Folds each BatchNormalization into the convolution before it, where nothing else reads that.
[[nodiscard]] Graph fold_batch_norms(Graph graph);

/// Takes QuantizeLinear and DequantizeLinear out of a graph and notes what they do in its quantizers and
/// quantized_constants. @throws ModelError where a tensor is read both rounded and as it was, or a scale is computed
[[nodiscard]] Graph fold_quantizers(Graph graph);

/// Rewrites constants that hold the exported batch, height or width (targets of Reshape and Resize), so that the graph
/// runs at `height` x `width` and any batch. `native` is the graph at its exported size.
[[nodiscard]] Graph thaw(Graph graph, const SizedGraph& native, std::int64_t height, std::int64_t width);

}  // namespace gantry::graph
