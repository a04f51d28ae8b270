#include "gantry/engine/graph/passes.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "engine/graph/operators.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

void remove_dead(Graph& graph) {
  std::unordered_set<std::string> needed;
  for (const Port& port : graph.outputs) needed.insert(port.name);
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool live = std::any_of(node->outputs.begin(), node->outputs.end(),
                                  [&](const std::string& output) { return needed.contains(output); });
    if (!live) continue;
    needed.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  graph.nodes = std::move(kept);
  std::erase_if(graph.constants, [&](const auto& entry) { return !needed.contains(entry.first); });
}

class Specialiser {
  static constexpr std::int64_t kLargestConstant = std::int64_t{1} << 24;  // elements; anchors need 2^16

 public:
  Specialiser(const Graph& from, const Dims& input) : from_(from) {
    result_.graph = from;
    result_.graph.nodes.clear();
    result_.graph.input.dims = input;
    for (std::size_t i = 0; i < from.input.dims.size(); ++i) {
      const std::int64_t d = from.input.dims[i];
      if (from.input.dims.size() != input.size() || (i == 1 && d >= 0 && d != input[i]))
        throw ModelError(from.source + ": input '" + from.input.name + "' is " + to_string(from.input.dims) +
                         ", not pictures of three channels [batch, 3, height, width]");
    }
    result_.dims[from.input.name] = input;
  }

  SizedGraph run() {
    for (const Node& node : from_.nodes) visit(node);
    for (Port& port : result_.graph.outputs) {
      const auto found = alias_.find(port.name);
      if (found != alias_.end()) port.name = found->second;
      if (const Tensor* constant = result_.graph.constant(port.name); constant != nullptr)
        throw ModelError(from_.source + ": output '" + port.name + "' doesn't depend on the input");
      port.dims = result_.dims.at(port.name);
    }
    remove_dead(result_.graph);
    return std::move(result_);
  }

 private:
  void visit(Node node) {
    for (std::string& input : node.inputs)
      if (const auto found = alias_.find(input); found != alias_.end()) input = found->second;
    if (node.op == "Identity" && !from_.quantizers.contains(node.outputs.front())) {
      alias_[node.outputs.front()] = node.inputs.front();
      return;
    }
    const Call call{node, from_.opset, from_.source};
    std::vector<Known> known(node.inputs.size());
    std::vector<const Known*> pointers(node.inputs.size(), nullptr);
    bool foldable = true;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty()) continue;
      if (const Tensor* constant = result_.graph.constant(node.inputs[i]); constant != nullptr) {
        known[i] = {constant->dims, constant->is_float(), constant};
      } else {
        known[i] = {result_.dims.at(node.inputs[i]), !integers_.contains(node.inputs[i]), nullptr};
        foldable = false;
      }
      pointers[i] = &known[i];
    }
    const std::vector<Known> out = infer_node(call, pointers);
    if (foldable || node.op == "Shape") {
      for (const Known& result : out)
        if (element_count(result.dims) > kLargestConstant)
          call.fail("computes a constant of " + to_string(result.dims));
      fold(call, known);
      return;
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      result_.dims[node.outputs[i]] = out[i].dims;
      if (!out[i].is_float) integers_.insert(node.outputs[i]);
    }
    result_.graph.nodes.push_back(std::move(node));
  }

  void fold(const Call& call, const std::vector<Known>& known) {
    std::vector<const Tensor*> values(known.size(), nullptr);
    Tensor size_only;  // Shape looks at nothing but the size
    for (std::size_t i = 0; i < known.size(); ++i)
      if (!call.node.inputs[i].empty()) values[i] = known[i].constant;
    if (call.node.op == "Shape" && values[0] == nullptr) {
      size_only.dims = known[0].dims;
      values[0] = &size_only;
    }
    std::vector<Tensor> out = evaluate_node(call, values);
    for (std::size_t i = 0; i < call.node.outputs.size(); ++i)
      result_.graph.constants[call.node.outputs[i]] = std::make_shared<const Tensor>(std::move(out[i]));
  }

  const Graph& from_;
  SizedGraph result_;
  std::unordered_map<std::string, std::string> alias_;
  std::unordered_set<std::string> integers_;
};

std::unordered_map<std::string, int> count_readers(const Graph& graph) {
  std::unordered_map<std::string, int> readers;
  for (const Node& node : graph.nodes)
    for (const std::string& input : node.inputs) ++readers[input];
  for (const Port& port : graph.outputs) ++readers[port.name];
  return readers;
}

/// Conv followed by BatchNormalization as one Conv. False where a parameter isn't a constant.
bool fold_one(Graph& graph, Node& conv, const Node& norm) {
  const Tensor* weights = graph.constant(conv.inputs[1]);
  const bool has_bias = conv.inputs.size() > 2 && !conv.inputs[2].empty();
  const Tensor* bias = has_bias ? graph.constant(conv.inputs[2]) : nullptr;
  const Tensor* p[4] = {};
  for (std::size_t i = 0; i < 4; ++i) p[i] = graph.constant(norm.inputs.at(i + 1));
  if (weights == nullptr || (has_bias && bias == nullptr) || weights->dims.empty()) return false;
  const auto channels = static_cast<std::size_t>(weights->dims[0]);
  const auto fits = [channels](const Tensor* parameter) {
    return parameter != nullptr && parameter->is_float() && parameter->floats().size() == channels;
  };
  if (!weights->is_float() || channels == 0 || (has_bias && !fits(bias)) ||
      !std::all_of(std::begin(p), std::end(p), fits))
    return false;
  Tensor folded = *weights;
  Tensor shift = Tensor::zeros({weights->dims[0]}, true);
  const std::size_t taps = folded.floats().size() / channels;
  const float epsilon = norm.real("epsilon", 1e-5F);
  for (std::size_t c = 0; c < channels; ++c) {
    const float factor = p[0]->floats()[c] / std::sqrt(p[3]->floats()[c] + epsilon);
    for (std::size_t t = 0; t < taps; ++t) folded.floats()[c * taps + t] *= factor;
    shift.floats()[c] = ((bias == nullptr ? 0.0F : bias->floats()[c]) - p[2]->floats()[c]) * factor + p[1]->floats()[c];
  }
  const std::string stem = conv.outputs.front();
  graph.constants[stem + ".weight"] = std::make_shared<const Tensor>(std::move(folded));
  graph.constants[stem + ".bias"] = std::make_shared<const Tensor>(std::move(shift));
  conv.inputs = {conv.inputs[0], stem + ".weight", stem + ".bias"};
  conv.outputs = norm.outputs;
  return true;
}

/// Adds `tensor` under a name derived from the node's, and has the node read it.
void replace_input(Graph& graph, Node& node, std::size_t index, Tensor tensor) {
  const std::string name = node.outputs.front() + ".rewritten";
  graph.constants[name] = std::make_shared<const Tensor>(std::move(tensor));
  if (node.inputs.size() <= index) node.inputs.resize(index + 1);
  node.inputs[index] = name;
}

}  // namespace

const Dims& SizedGraph::dims_of(const std::string& tensor) const {
  const auto found = dims.find(tensor);
  GANTRY_EXPECTS(found != dims.end(), "no tensor '" + tensor + "'");
  return found->second;
}

SizedGraph specialise(const Graph& graph, const Dims& input) {
  return Specialiser(graph, input).run();
}

Graph cut(const Graph& graph, const std::vector<std::string>& outputs) {
  Graph result = graph;
  result.outputs.clear();
  for (const std::string& name : outputs) result.outputs.push_back({name, {}});
  remove_dead(result);
  return result;
}

Graph fold_batch_norms(Graph graph) {
  const auto readers = count_readers(graph);
  std::unordered_map<std::string, std::size_t> convs;
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (node.op == "BatchNormalization") {
      const auto conv = convs.find(node.inputs.front());
      if (conv != convs.end() && readers.at(node.inputs.front()) == 1 && fold_one(graph, kept[conv->second], node))
        continue;
    }
    if (node.op == "Conv") convs[node.outputs.front()] = kept.size();
    kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
  remove_dead(graph);
  return graph;
}

Graph thaw(Graph graph, const SizedGraph& native, std::int64_t height, std::int64_t width) {
  const Dims& image = native.graph.input.dims;
  // The exported map sizes are the image's over a whole stride; that is how a frozen size is recognised.
  const auto stride_of = [&](std::int64_t h, std::int64_t w) -> std::int64_t {
    if (h < 1 || w < 1 || image[2] % h != 0 || image[3] % w != 0 || image[2] / h != image[3] / w) return 0;
    return image[2] / h;
  };
  for (Node& node : graph.nodes) {
    if (node.op != "Reshape" && node.op != "Resize") continue;
    const bool reshape = node.op == "Reshape";
    const std::size_t target = reshape ? 1 : 3;
    if (node.inputs.size() <= target || graph.constant(node.inputs[target]) == nullptr) continue;
    const Dims& in = native.dims_of(node.inputs[0]);
    const Dims& out = native.dims_of(node.outputs[0]);
    if (!reshape) {
      Tensor scales = Tensor::zeros({4}, true);
      for (std::size_t i = 0; i < 4; ++i) scales.floats()[i] = static_cast<float>(out[i]) / static_cast<float>(in[i]);
      node.inputs.resize(3);
      replace_input(graph, node, 2, std::move(scales));
      continue;
    }
    Tensor shape = Tensor::zeros({static_cast<std::int64_t>(out.size())}, false);
    shape.ints() = out;
    if (in[0] == out[0] && in[0] == image[0]) shape.ints()[0] = 0;
    if (in.size() == 4 && out.back() == in[2] * in[3] && stride_of(in[2], in[3]) != 0) {
      shape.ints().back() = -1;
    } else if (out.size() == 4 && in.back() == out[2] * out[3]) {
      if (const std::int64_t stride = stride_of(out[2], out[3]); stride != 0) {
        shape.ints()[2] = height / stride;
        shape.ints()[3] = width / stride;
      }
    }
    replace_input(graph, node, 1, std::move(shape));
  }
  graph.input.dims = {-1, image[1], -1, -1};
  return graph;
}

}  // namespace gantry::graph
