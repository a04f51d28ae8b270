#pragma once
// Where a graph's quantisers go: at every tensor that a convolution reads, as near to its producer as it can be, so
// that what lies between (joins, splits, pools, enlargements) carries 8-bit values.
#include <string>
#include <vector>

#include "gantry/engine/graph/graph.hpp"

namespace gantry::precision {

struct Layer {
  std::string node;          ///< a Conv with constant weights
  std::string input;         ///< the tensor that it reads
  int group = 0;             ///< whose quantiser that tensor has
  std::vector<int> tensors;  ///< indices into Scheme::tensors: where that tensor's values are quantised
  double flops = 0;          ///< an image; 0 where sizes aren't known
};

struct Scheme {
  std::vector<std::string> tensors;  ///< each gets a QuantizeLinear and a DequantizeLinear; in the graph's order
  std::vector<int> group_of;         ///< of each tensor. Tensors that are joined share one quantiser: a join then moves
                                     ///< bytes and rescales nothing.
  int groups = 0;
  std::vector<Layer> layers;  ///< in the graph's order
};

/// `raw` is the graph up to the head's raw maps.
[[nodiscard]] Scheme find_scheme(const graph::Graph& raw);

}  // namespace gantry::precision
