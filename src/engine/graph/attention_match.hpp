#pragma once
// Recognises C2PSA's attention in an unfused graph.
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gantry/engine/graph/passes.hpp"

namespace gantry::graph {

/// Who computes and who reads each tensor of a graph.
class Wiring {
 public:
  explicit Wiring(const Graph& graph);
  [[nodiscard]] const Node* producer(const std::string& tensor) const;
  /// Null unless exactly one node reads it and it is no output of the graph.
  [[nodiscard]] const Node* only_reader(const std::string& tensor) const;
  [[nodiscard]] const std::vector<const Node*>& readers(const std::string& tensor) const;
  [[nodiscard]] bool is_output(const std::string& tensor) const { return outputs_.contains(tensor); }

 private:
  std::unordered_map<std::string, const Node*> producers_;
  std::unordered_map<std::string, std::vector<const Node*>> readers_;
  std::unordered_set<std::string> outputs_;
};

struct AttentionMatch {
  std::vector<const Node*> nodes;  ///< everything that it covers
  const Node* position = nullptr;  ///< the depthwise convolution
  const Node* softmax = nullptr;
  std::string input;   ///< q, k and v of all heads: a map
  std::string output;  ///< attention plus position: a map
  int heads = 0, key_dim = 0, head_dim = 0;
  float scale = 1;
};

/// softmax(scale * q'k) v + position(v) around `softmax`, with q, k, v split from one reshaped map. Both releases'
/// forms: the scale on q or on the product.
[[nodiscard]] std::optional<AttentionMatch> match_attention(const SizedGraph& sized, const Wiring& wiring,
                                                            const Node& softmax);

}  // namespace gantry::graph
