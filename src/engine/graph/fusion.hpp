#pragma once
// From an unfused sized graph to fused operators on named tensors. Where they lie is layout.hpp's business.
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/plan.hpp"

namespace gantry::graph {

struct FusedOp {
  std::string name;
  std::vector<std::string> inputs;  ///< tensors; may name views
  std::string residual;             ///< empty: none
  std::vector<std::string> outputs;
  decltype(Op::params) params;
};

/// Channels of a tensor that an op computes, as part of a tensor that is only a view (Split, Concat, Resize).
struct Piece {
  std::string root;
  int channel = 0;
  int channels = 0;
  int upsample = 1;
};

struct FusedGraph {
  std::vector<FusedOp> ops;                                   ///< in the graph's order, without the DetectOp
  std::unordered_map<std::string, std::vector<Piece>> views;  ///< of tensors that no op computes
  std::vector<std::string> concats;                           ///< the views that join, in the graph's order
  std::unordered_map<std::string, Dims> dims;                 ///< of all tensors
  std::unordered_map<std::string, Quantizer> quantizers;      ///< of the input and of computed tensors that are rounded

  /// The pieces of any tensor; of a computed one, itself.
  [[nodiscard]] std::vector<Piece> resolve(const std::string& tensor) const;
  /// The one quantiser of all pieces; nothing where one has none or another.
  [[nodiscard]] std::optional<Quantizer> quantizer_of(const std::string& tensor) const;
};

/// @throws ModelError naming the first node that no pattern covers
[[nodiscard]] FusedGraph fuse(const Model& model, const SizedGraph& sized);

}  // namespace gantry::graph
