// The head as Ultralytics exports it. Each level's map is flattened ([batch, C, h, w] -> [batch, C, h*w]) and the
// levels are joined along the last axis; the box half goes on to the softmax of its distance distributions, the class
// half to a sigmoid. Up to 8.3 each level joins boxes and classes first and one Split parts them behind; from 8.4 they
// are flattened apart.
#include "engine/graph/head.hpp"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "gantry/core/errors.hpp"

namespace gantry::graph {
namespace {

enum class Role { kNone, kBoxes, kClasses };

class Finder {
 public:
  explicit Finder(const SizedGraph& sized) : sized_(sized), graph_(sized.graph) {
    for (const Node& node : graph_.nodes) {
      for (const std::string& output : node.outputs) producer_[output] = &node;
      for (const std::string& input : node.inputs) readers_[input].push_back(&node);
    }
  }

  Head run() {
    for (const Node& node : graph_.nodes)
      if (node.op == "Concat") visit(node);
    if (boxes_.empty() || classes_.empty())
      fail("no detection head: expected flattened box and class maps that go on to a softmax and a sigmoid");
    if (boxes_.size() != classes_.size()) fail("the head has a different number of box and class maps");
    Head head;
    head.bins = bins();
    head.classes = static_cast<int>(sized_.dims_of(classes_[0])[1]);
    const Dims& image = graph_.input.dims;
    for (std::size_t i = 0; i < boxes_.size(); ++i) {
      const Dims& b = sized_.dims_of(boxes_[i]);
      const Dims& c = sized_.dims_of(classes_[i]);
      if (b[1] != 4 * head.bins || c[1] != head.classes || b[2] != c[2] || b[3] != c[3])
        fail("the maps '" + boxes_[i] + "' " + to_string(b) + " and '" + classes_[i] + "' " + to_string(c) +
             " don't make one level of a head with " + std::to_string(head.bins) + " bins and " +
             std::to_string(head.classes) + " classes");
      if (image[2] % b[2] != 0 || image[3] % b[3] != 0 || image[2] / b[2] != image[3] / b[3])
        fail("the map '" + boxes_[i] + "' " + to_string(b) + " has no whole stride in the input " + to_string(image));
      head.levels.push_back({boxes_[i], classes_[i], static_cast<int>(image[2] / b[2])});
    }
    return head;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw ModelError(graph_.source + ": " + what +
                     ". Gantry runs YOLO detectors as Ultralytics exports them (task detect)");
  }

  /// What a tensor is used for: the nearest softmax or sigmoid behind it.
  Role role_of(const std::string& tensor) const {
    std::vector<std::string> front{tensor};
    std::unordered_set<std::string> seen;
    while (!front.empty()) {
      std::vector<std::string> next;
      for (const std::string& name : front) {
        const auto found = readers_.find(name);
        if (found == readers_.end() || !seen.insert(name).second) continue;
        for (const Node* node : found->second) {
          if (node->op == "Softmax") return Role::kBoxes;
          if (node->op == "Sigmoid") return Role::kClasses;
          next.insert(next.end(), node->outputs.begin(), node->outputs.end());
        }
      }
      front = std::move(next);
    }
    return Role::kNone;
  }

  /// The maps whose flattened forms a Concat joins along its last axis; empty where it does something else.
  std::vector<std::string> flattened(const Node& concat) const {
    const Dims& joined = sized_.dims_of(concat.outputs[0]);
    const std::int64_t axis = concat.integer("axis", 0);
    if (joined.size() != 3 || (axis != 2 && axis != -1)) return {};
    std::vector<std::string> maps;
    for (const std::string& input : concat.inputs) {
      const auto found = producer_.find(input);
      if (found == producer_.end() || found->second->op != "Reshape") return {};
      const std::string& map = found->second->inputs[0];
      const auto size = sized_.dims.find(map);
      if (size == sized_.dims.end() || size->second.size() != 4 || size->second[1] != joined[1]) return {};
      maps.push_back(map);
    }
    return maps;
  }

  void visit(const Node& concat) {
    const std::vector<std::string> maps = flattened(concat);
    if (maps.empty()) return;
    if (const Node* split = parted(concat); split != nullptr) {
      for (const std::string& map : maps) add_pair(map, *split);
      return;
    }
    const Role role = role_of(concat.outputs[0]);
    if (role == Role::kBoxes) boxes_.insert(boxes_.end(), maps.begin(), maps.end());
    if (role == Role::kClasses) classes_.insert(classes_.end(), maps.begin(), maps.end());
  }

  const Node* parted(const Node& concat) const {
    const auto found = readers_.find(concat.outputs[0]);
    if (found == readers_.end() || found->second.size() != 1) return nullptr;
    const Node* split = found->second.front();
    return split->op == "Split" && split->outputs.size() == 2 ? split : nullptr;
  }

  void add_pair(const std::string& map, const Node& split) {
    const auto found = producer_.find(map);
    if (found == producer_.end() || found->second->op != "Concat" || found->second->inputs.size() != 2 ||
        sized_.dims_of(found->second->inputs[0])[1] != sized_.dims_of(split.outputs[0])[1])
      fail("the map '" + map + "' isn't a box map and a class map joined");
    const Role first = role_of(split.outputs[0]);
    const std::size_t box = first == Role::kBoxes ? 0 : 1;
    boxes_.push_back(found->second->inputs[box]);
    classes_.push_back(found->second->inputs[1 - box]);
  }

  /// From the fixed convolution that takes the mean of each distance distribution; its weights must be 0, 1, 2, …
  int bins() const {
    for (const Node& node : graph_.nodes) {
      if (node.op != "Conv") continue;
      const Tensor* weights = graph_.constant(node.inputs[1]);
      if (weights == nullptr || weights->dims.size() != 4 || weights->dims[0] != 1 || weights->dims[1] < 2 ||
          weights->dims[2] * weights->dims[3] != 1)
        continue;
      const auto& values = weights->floats();
      bool counting = true;
      for (std::size_t i = 0; i < values.size(); ++i) counting = counting && values[i] == static_cast<float>(i);
      if (counting) return static_cast<int>(values.size());
    }
    fail("no distribution of distances (DFL) in the head");
  }

  const SizedGraph& sized_;
  const Graph& graph_;
  std::unordered_map<std::string, const Node*> producer_;
  std::unordered_map<std::string, std::vector<const Node*>> readers_;
  std::vector<std::string> boxes_, classes_;
};

}  // namespace

Head find_head(const SizedGraph& native) {
  return Finder(native).run();
}

std::vector<std::string> Head::tensors() const {
  std::vector<std::string> names;
  for (const Level& level : levels) names.push_back(level.boxes);
  for (const Level& level : levels) names.push_back(level.classes);
  return names;
}

}  // namespace gantry::graph
