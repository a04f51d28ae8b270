#pragma once
// A YOLO detector read from an ONNX file: its graph, where its head's raw maps lie, and what its metadata says.
// Independent of input size and batch. Immutable once loaded, so it may be shared between threads.
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/engine/graph/graph.hpp"
#include "gantry/engine/graph/passes.hpp"
#include "gantry/engine/graph/plan.hpp"

namespace gantry::graph {

/// Where the network ends and Gantry's own decode begins.
struct Head {
  struct Level {
    std::string boxes;    ///< tensor of 4·bins channels
    std::string classes;  ///< tensor of `classes` channels, before the sigmoid
    int stride = 0;       ///< pixels of the input a cell
  };
  std::vector<Level> levels;
  int classes = 0;
  int bins = 0;  ///< steps of the distance distribution a side

  /// Boxes of all levels, then classes of all levels: DetectOp's order.
  [[nodiscard]] std::vector<std::string> tensors() const;
};

/// FNV-1a in 16 hex digits: tells files apart, guards against nobody.
[[nodiscard]] std::string hash_of(std::string_view bytes);

class Model {
 public:
  /// @throws ModelError: not ONNX, truncated, an unsupported operator, not a detector; each says what to do
  [[nodiscard]] static Model load(const std::string& path);
  [[nodiscard]] static Model parse(std::string_view bytes, const std::string& source);

  [[nodiscard]] const engine::ModelInfo& info() const noexcept { return info_; }
  [[nodiscard]] const Head& head() const noexcept { return head_; }
  [[nodiscard]] const std::string& hash() const noexcept { return hash_; }  ///< of the file's bytes, 16 hex digits
  /// Whether the file holds 8-bit tensors.
  [[nodiscard]] bool quantized() const noexcept { return !graph_.quantizers.empty(); }
  /// As exported, decode included, batch norm and quantisers folded.
  [[nodiscard]] const Graph& graph() const noexcept { return graph_; }
  /// Up to the head's raw maps, for any batch at this rectangle. @throws ModelError where a side isn't a multiple of
  /// the stride
  [[nodiscard]] Graph raw_graph(engine::InputShape shape) const;
  /// A convolution's parameters as the plan holds them, one object a pair of initialisers for the Model's lifetime.
  /// @pre `node` is a Conv of raw_graph()
  [[nodiscard]] std::shared_ptr<const Weights> weights(const Node& node) const;

 private:
  Model() = default;

  engine::ModelInfo info_;
  Head head_;
  std::string hash_;
  Graph graph_;
  SizedGraph native_;  ///< raw part at the exported size
  std::unordered_map<std::string, std::shared_ptr<const Weights>> weights_;
};

}  // namespace gantry::graph
