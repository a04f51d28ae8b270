// QuantizeLinear and DequantizeLinear as properties of tensors instead of nodes.
#include <algorithm>
#include <limits>
#include <optional>

#include "engine/graph/attention_match.hpp"
#include "engine/graph/operators.hpp"
#include "gantry/engine/graph/passes.hpp"

namespace gantry::graph {
namespace {

class QuantizerFolder {
 public:
  explicit QuantizerFolder(Graph& graph) : graph_(graph), wiring_(graph) {}

  void run() {
    std::vector<Node> kept;
    for (const Node& node : graph_.nodes) {
      if (node.op == "QuantizeLinear") {
        fold_activation(node);
      } else if (node.op == "DequantizeLinear") {
        fold_restored(node);
      } else {
        kept.push_back(node);
        for (std::string& input : kept.back().inputs)
          if (const auto found = alias_.find(input); found != alias_.end()) input = found->second;
      }
    }
    for (Port& port : graph_.outputs)
      if (const auto found = alias_.find(port.name); found != alias_.end()) port.name = found->second;
    graph_.nodes = std::move(kept);
  }

 private:
  [[noreturn]] void fail(const Node& node, const std::string& what) const {
    Call{node, graph_.opset, graph_.source}.fail(what);
  }

  /// The quantiser of a node whose tensor has one scale. @throws ModelError
  Quantizer quantizer_of(const Node& node) const {
    const Tensor* scale = graph_.constant(node.inputs[1]);
    const Tensor* zero = node.inputs.size() > 2 ? graph_.constant(node.inputs[2]) : nullptr;
    if (scale == nullptr || !scale->is_float() || scale->floats().size() != 1 || !(scale->floats()[0] > 0) ||
        (node.inputs.size() > 2 && (zero == nullptr || zero->is_float() || zero->ints().size() != 1)))
      fail(node, "needs one constant scale above 0 and one constant zero point");
    const bool is_signed = node.integer(kSignedAttribute, 0) != 0;
    return {scale->floats()[0], zero == nullptr ? 0 : static_cast<int>(zero->ints()[0]), is_signed ? -128 : 0,
            is_signed ? 127 : 255};
  }

  void fold_activation(const Node& node) {
    const std::string& tensor = node.inputs[0];
    const auto& readers = wiring_.readers(tensor);
    if (wiring_.is_output(tensor) || readers.size() != 1)
      fail(node, "rounds '" + tensor +
                     "', which others read as it was; Gantry's engine keeps one form of a tensor. Quantise the float "
                     "model with gantry optimize");
    const Quantizer quantizer = quantizer_of(node);
    for (const Node* reader : wiring_.readers(node.outputs[0]))
      if (reader->op != "DequantizeLinear" || quantizer_of(*reader) != quantizer)
        fail(node, "is read by " + reader->op + " '" + reader->name +
                       "'; only a DequantizeLinear of the same scale and zero point is supported");
    graph_.quantizers[tensor] = quantizer;
    alias_[node.outputs[0]] = tensor;
  }

  void fold_restored(const Node& node) {
    if (const auto rounded = alias_.find(node.inputs[0]); rounded != alias_.end()) {
      alias_[node.outputs[0]] = rounded->second;
      return;
    }
    const Tensor* steps = graph_.constant(node.inputs[0]);
    const Tensor* scale = graph_.constant(node.inputs[1]);
    const Tensor* zero = node.inputs.size() > 2 ? graph_.constant(node.inputs[2]) : nullptr;
    if (steps == nullptr || scale == nullptr || (node.inputs.size() > 2 && zero == nullptr))
      fail(node, "restores a tensor that no QuantizeLinear has made");
    const std::vector<const Tensor*> in{steps, scale, zero};
    auto values = evaluate_node({node, graph_.opset, graph_.source}, std::span(in).first(node.inputs.size()));
    graph_.constants[node.outputs[0]] = std::make_shared<const Tensor>(std::move(values.front()));
    note_steps(node, *steps, *scale, zero);
  }

  /// Weights of another form than Gantry's own (unsigned, a zero point, scales along another axis) count as floats.
  void note_steps(const Node& node, const Tensor& steps, const Tensor& scale, const Tensor* zero) {
    constexpr std::int64_t kLowest = std::numeric_limits<std::int8_t>::min();
    constexpr std::int64_t kHighest = std::numeric_limits<std::int8_t>::max();
    const bool in_bytes = std::all_of(steps.ints().begin(), steps.ints().end(),
                                      [](std::int64_t v) { return v >= kLowest && v <= kHighest; });
    const bool symmetric =
        zero == nullptr || std::all_of(zero->ints().begin(), zero->ints().end(), [](std::int64_t v) { return v == 0; });
    if (!in_bytes || !symmetric || steps.dims.empty()) return;
    const auto slices = static_cast<std::size_t>(steps.dims[0]);
    auto constant = std::make_shared<QuantizedConstant>();
    if (scale.floats().size() == 1)
      constant->scales.assign(slices, scale.floats()[0]);
    else if (scale.floats().size() == slices && node.integer("axis", 1) == 0)
      constant->scales = scale.floats();
    else
      return;
    for (const std::int64_t step : steps.ints()) constant->steps.push_back(static_cast<std::int8_t>(step));
    graph_.quantized_constants[node.outputs[0]] = std::move(constant);
  }

  Graph& graph_;
  Wiring wiring_;  // of the graph as it came
  std::unordered_map<std::string, std::string> alias_;
};

}  // namespace

Graph fold_quantizers(Graph graph) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(),
                   [](const Node& node) { return node.op == "QuantizeLinear" || node.op == "DequantizeLinear"; }))
    return graph;
  QuantizerFolder(graph).run();
  return graph;
}

}  // namespace gantry::graph
