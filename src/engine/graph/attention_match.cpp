#include "engine/graph/attention_match.hpp"

namespace gantry::graph {

Wiring::Wiring(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    for (const std::string& output : node.outputs) producers_[output] = &node;
    for (const std::string& input : node.inputs)
      if (!input.empty()) readers_[input].push_back(&node);
  }
  for (const Port& port : graph.outputs) outputs_.insert(port.name);
}

const Node* Wiring::producer(const std::string& tensor) const {
  const auto found = producers_.find(tensor);
  return found == producers_.end() ? nullptr : found->second;
}

const std::vector<const Node*>& Wiring::readers(const std::string& tensor) const {
  static const std::vector<const Node*> kNobody;
  const auto found = readers_.find(tensor);
  return found == readers_.end() ? kNobody : found->second;
}

const Node* Wiring::only_reader(const std::string& tensor) const {
  const auto& all = readers(tensor);
  return all.size() == 1 && !is_output(tensor) ? all.front() : nullptr;
}

namespace {

class Matcher {
 public:
  Matcher(const SizedGraph& sized, const Wiring& wiring, const Node& softmax)
      : sized_(sized), wiring_(wiring), softmax_(softmax) {}

  std::optional<AttentionMatch> run() {
    match_.softmax = &softmax_;
    if (!is_last_axis(softmax_) || !scores() || !values() || !position()) return std::nullopt;
    return match_;
  }

 private:
  const Dims& dims(const std::string& tensor) const { return sized_.dims_of(tensor); }
  bool is_last_axis(const Node& node) const {
    const std::int64_t axis = node.integer("axis", sized_.graph.opset < 13 ? 1 : -1);
    return dims(node.inputs[0]).size() == 4 && (axis == -1 || axis == 3);
  }
  bool swaps_last(const Node* node) const {
    return node != nullptr && node->op == "Transpose" &&
           node->integers("perm", {}) == std::vector<std::int64_t>{0, 1, 3, 2};
  }
  bool take(const Node* node, const char* op) {
    if (node == nullptr || node->op != op) return false;
    match_.nodes.push_back(node);
    return true;
  }

  /// Where `tensor` is another one times a constant scalar, notes the scalar and moves on to the other.
  void unscale(std::string& tensor) {
    const Node* node = wiring_.producer(tensor);
    if (node == nullptr || (node->op != "Mul" && node->op != "Div")) return;
    for (std::size_t i = 0; i < 2; ++i) {
      const Tensor* factor = sized_.graph.constant(node->inputs[i]);
      if (factor == nullptr || !factor->is_float() || factor->floats().size() != 1 || (node->op == "Div" && i == 0))
        continue;
      match_.scale *= node->op == "Div" ? 1.0F / factor->floats()[0] : factor->floats()[0];
      match_.nodes.push_back(node);
      tensor = node->inputs[1 - i];
      return;
    }
  }

  /// softmax's input: [scale] (q' k), with q and k two parts of one Split.
  bool scores() {
    std::string tensor = softmax_.inputs[0];
    match_.nodes.push_back(&softmax_);
    unscale(tensor);
    const Node* product = wiring_.producer(tensor);
    if (!take(product, "MatMul")) return false;
    std::string q = product->inputs[0];
    std::string k = product->inputs[1];
    unscale(q);
    const Node* transpose = wiring_.producer(q);
    if (!swaps_last(transpose)) return false;
    match_.nodes.push_back(transpose);
    q = transpose->inputs[0];
    unscale(q);
    unscale(k);
    split_ = wiring_.producer(q);
    if (!take(split_, "Split") || split_->outputs.size() != 3 || split_->outputs[0] != q || split_->outputs[1] != k)
      return false;
    const std::int64_t axis = split_->integer("axis", 0);
    if (axis != 2 && axis != -2) return false;
    const Node* reshape = wiring_.producer(split_->inputs[0]);
    if (!take(reshape, "Reshape")) return false;
    const Dims& map = dims(reshape->inputs[0]);
    const Dims& split = dims(split_->inputs[0]);
    const Dims& key = dims(k);
    if (map.size() != 4 || split.size() != 4 || split[1] * split[2] != map[1] || split[3] != map[2] * map[3] ||
        dims(q) != key)
      return false;
    match_.input = reshape->inputs[0];
    match_.heads = static_cast<int>(split[1]);
    match_.key_dim = static_cast<int>(key[2]);
    match_.head_dim = static_cast<int>(dims(split_->outputs[2])[2]);
    return wiring_.only_reader(split_->inputs[0]) != nullptr;
  }

  /// v times the transposed softmax, reshaped to a map.
  bool values() {
    const Node* transpose = wiring_.only_reader(softmax_.outputs[0]);
    if (!swaps_last(transpose)) return false;
    match_.nodes.push_back(transpose);
    const Node* product = wiring_.only_reader(transpose->outputs[0]);
    if (!take(product, "MatMul") || product->inputs[0] != split_->outputs[2] ||
        product->inputs[1] != transpose->outputs[0])
      return false;
    const Node* reshape = wiring_.only_reader(product->outputs[0]);
    if (!take(reshape, "Reshape") || !is_map(reshape->outputs[0])) return false;
    attended_ = reshape->outputs[0];
    return true;
  }

  /// Plus a depthwise convolution of v as a map.
  bool position() {
    const Node* add = wiring_.only_reader(attended_);
    if (!take(add, "Add")) return false;
    const std::string& other = add->inputs[0] == attended_ ? add->inputs[1] : add->inputs[0];
    const Node* conv = wiring_.producer(other);
    if (!take(conv, "Conv") || wiring_.only_reader(other) == nullptr) return false;
    const Node* reshape = wiring_.producer(conv->inputs[0]);
    if (!take(reshape, "Reshape") || reshape->inputs[0] != split_->outputs[2] || !is_map(conv->inputs[0]) ||
        wiring_.only_reader(conv->inputs[0]) == nullptr || wiring_.readers(split_->outputs[2]).size() != 2)
      return false;
    match_.position = conv;
    match_.output = add->outputs[0];
    return true;
  }
  bool is_map(const std::string& tensor) const {
    const Dims& in = dims(match_.input);
    return dims(tensor) == Dims{in[0], std::int64_t{match_.heads} * match_.head_dim, in[2], in[3]};
  }

  const SizedGraph& sized_;
  const Wiring& wiring_;
  const Node& softmax_;
  AttentionMatch match_;
  const Node* split_ = nullptr;
  std::string attended_;
};

}  // namespace

std::optional<AttentionMatch> match_attention(const SizedGraph& sized, const Wiring& wiring, const Node& softmax) {
  return Matcher(sized, wiring, softmax).run();
}

}  // namespace gantry::graph
