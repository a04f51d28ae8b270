#include "precision/scheme.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

namespace gantry::precision {
namespace {

using graph::Graph;
using graph::Node;

/// Ops that only move or choose values: what goes in quantised comes out quantised the same.
bool only_moves(const Node& node) {
  static const std::set<std::string, std::less<>> kMoves{"Concat", "MaxPool", "Slice", "Split"};
  return kMoves.contains(node.op) || (node.op == "Resize" && node.text("mode", "nearest") == "nearest");
}

/// Disjoint sets of tensor names.
class Groups {
 public:
  int of(const std::string& tensor) {
    const auto [entry, fresh] = index_.try_emplace(tensor, static_cast<int>(parent_.size()));
    if (fresh) parent_.push_back(entry->second);
    return root(entry->second);
  }
  void join(const std::string& a, const std::string& b) {
    const int first = of(a);
    parent_[static_cast<std::size_t>(first)] = of(b);
  }

 private:
  int root(int i) const {
    while (parent_[static_cast<std::size_t>(i)] != i) i = parent_[static_cast<std::size_t>(i)];
    return i;
  }
  std::unordered_map<std::string, int> index_;
  std::vector<int> parent_;
};

class Finder {
 public:
  explicit Finder(const Graph& raw) : graph_(raw) {
    for (const Node& node : raw.nodes)
      for (const std::string& output : node.outputs) producers_[output] = &node;
  }

  Scheme run() {
    std::vector<std::set<std::string>> sources;
    for (const Node& node : graph_.nodes) {
      if (node.op != "Conv" || graph_.constant(node.inputs[1]) == nullptr) continue;
      scheme_.layers.push_back({node.name, node.inputs[0], 0, {}, 0});
      sources.emplace_back();
      collect(node.inputs[0], sources.back());
    }
    std::set<std::string> wanted;
    for (const auto& some : sources) wanted.insert(some.begin(), some.end());
    order(wanted);
    number_groups();
    for (std::size_t i = 0; i < sources.size(); ++i) {
      Layer& layer = scheme_.layers[i];
      for (std::size_t t = 0; t < scheme_.tensors.size(); ++t)
        if (sources[i].contains(scheme_.tensors[t])) layer.tensors.push_back(static_cast<int>(t));
      layer.group = scheme_.group_of[static_cast<std::size_t>(layer.tensors.front())];
    }
    return std::move(scheme_);
  }

 private:
  /// Walks from a convolution's input back to where its values are computed.
  void collect(const std::string& tensor, std::set<std::string>& sources) {
    const auto producer = producers_.find(tensor);
    if (producer == producers_.end() || !only_moves(*producer->second)) {
      groups_.of(tensor);
      sources.insert(tensor);
      return;
    }
    const Node& node = *producer->second;
    for (const std::string& output : node.outputs) groups_.join(output, tensor);
    const std::size_t count = node.op == "Concat" ? node.inputs.size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
      groups_.join(node.inputs[i], tensor);
      collect(node.inputs[i], sources);
    }
  }

  void order(const std::set<std::string>& wanted) {
    if (wanted.contains(graph_.input.name)) scheme_.tensors.push_back(graph_.input.name);
    for (const Node& node : graph_.nodes)
      for (const std::string& output : node.outputs)
        if (wanted.contains(output)) scheme_.tensors.push_back(output);
  }

  void number_groups() {
    std::map<int, int> numbers;
    for (const std::string& tensor : scheme_.tensors) {
      const int number = static_cast<int>(numbers.size());
      scheme_.group_of.push_back(numbers.try_emplace(groups_.of(tensor), number).first->second);
    }
    scheme_.groups = static_cast<int>(numbers.size());
  }

  const Graph& graph_;
  std::unordered_map<std::string, const Node*> producers_;
  Groups groups_;
  Scheme scheme_;
};

}  // namespace

Scheme find_scheme(const graph::Graph& raw) {
  return Finder(raw).run();
}

}  // namespace gantry::precision
