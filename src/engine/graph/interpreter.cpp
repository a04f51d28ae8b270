#include "gantry/engine/graph/interpreter.hpp"

#include <unordered_map>

#include "engine/graph/operators.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {

Interpreter::Interpreter(Graph graph) : graph_(std::move(graph)) {}

std::vector<Tensor> Interpreter::run(const Tensor& input, const Observer& observer) const {
  GANTRY_EXPECTS(input.is_float() && static_cast<std::int64_t>(input.floats().size()) == element_count(input.dims),
                 "the input must be a float tensor whose values fill its dims");
  std::unordered_map<std::string, int> readers;
  for (const Node& node : graph_.nodes)
    for (const std::string& name : node.inputs) ++readers[name];
  for (const Port& port : graph_.outputs) ++readers[port.name];

  std::unordered_map<std::string, Tensor> values;
  values[graph_.input.name] = input;
  const auto round = [this](const std::string& tensor, Tensor& value) {
    const auto quantizer = graph_.quantizers.find(tensor);
    if (quantizer == graph_.quantizers.end()) return;
    for (float& v : value.floats()) v = quantizer->second(v);
  };
  round(graph_.input.name, values[graph_.input.name]);
  if (observer) observer(Node{}, graph_.input.name, values[graph_.input.name]);
  for (const Node& node : graph_.nodes) {
    std::vector<const Tensor*> in(node.inputs.size(), nullptr);
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (node.inputs[i].empty()) continue;
      const Tensor* constant = graph_.constant(node.inputs[i]);
      in[i] = constant != nullptr ? constant : &values.at(node.inputs[i]);
    }
    std::vector<Tensor> out = evaluate_node({node, graph_.opset, graph_.source}, in);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      round(node.outputs[i], out[i]);
      if (observer && out[i].is_float()) observer(node, node.outputs[i], out[i]);
      values[node.outputs[i]] = std::move(out[i]);
    }
    for (const std::string& name : node.inputs)
      if (--readers[name] == 0) values.erase(name);
  }
  std::vector<Tensor> results;
  for (const Port& port : graph_.outputs) {
    const Tensor* constant = graph_.constant(port.name);
    results.push_back(constant != nullptr ? *constant : values.at(port.name));
  }
  return results;
}

}  // namespace gantry::graph
