#include "engine/openvino/surgery.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <openvino/core/graph_util.hpp>
#include <openvino/core/rt_info.hpp>
#include <openvino/op/concat.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/gather.hpp>
#include <openvino/op/reshape.hpp>
#include <openvino/op/result.hpp>
#include <openvino/op/shape_of.hpp>
#include <unordered_set>

#include "gantry/vision/head.hpp"

namespace gantry::engine::openvino {
namespace {

constexpr std::size_t kDistanceChannels = 4 * vision::kDistanceBins;

/// Walks from `start` towards the inputs, breadth first, and calls visit(node); a node for which it returns false is
/// not walked past. Shapes of tensors are not followed: they lead to the tensors' own history.
template <typename Visit>
void walk_back(ov::Node* start, Visit&& visit) {
  std::deque<ov::Node*> queue{start};
  std::unordered_set<ov::Node*> seen{start};
  while (!queue.empty()) {
    ov::Node* node = queue.front();
    queue.pop_front();
    if (!visit(node)) continue;
    for (std::size_t i = 0; i < node->get_input_size(); ++i) {
      ov::Node* before = node->get_input_node_ptr(i);
      if (ov::is_type<ov::op::v0::ShapeOf>(before) || ov::is_type<ov::op::v3::ShapeOf>(before)) continue;
      if (seen.insert(before).second) queue.push_back(before);
    }
  }
}

/// [N, c, h, w] to [N, c, h * w].
bool flattens_a_map(const ov::Node* node) {
  if (!ov::is_type<ov::op::v1::Reshape>(node)) return false;
  const ov::Shape from = node->get_input_shape(0);
  const ov::Shape to = node->get_output_shape(0);
  return from.size() == 4 && to.size() == 3 && to[1] == from[1] && to[2] == from[2] * from[3];
}

}  // namespace

std::vector<RawMaps> find_raw_maps(const ov::Model& model, int classes, std::size_t anchors) {
  std::map<std::size_t, std::vector<ov::Output<ov::Node>>, std::greater<>> by_cells;
  walk_back(model.get_results().at(0).get(), [&](ov::Node* node) {
    if (!flattens_a_map(node)) return true;
    const ov::Output<ov::Node> map = node->input_value(0);
    const std::size_t cells = map.get_shape()[2] * map.get_shape()[3];
    const auto join = ov::as_type_ptr<ov::op::v0::Concat>(map.get_node_shared_ptr());
    if (join && join->get_axis() == 1 && join->get_input_size() == 2) {
      for (const auto& part : join->input_values()) by_cells[cells].push_back(part);
    } else {
      by_cells[cells].push_back(map);
    }
    return false;
  });
  std::vector<RawMaps> maps;
  std::size_t cells_total = 0;
  for (auto& [cells, parts] : by_cells) {
    if (parts.size() != 2) return {};
    const auto channels = [&](std::size_t i) { return parts[i].get_shape()[1]; };
    // Where there are as many classes as distance bins, both look alike; exporters join or walk distances first.
    if (channels(0) != kDistanceChannels) std::swap(parts[0], parts[1]);
    if (channels(0) != kDistanceChannels || channels(1) != static_cast<std::size_t>(classes)) return {};
    maps.push_back({parts[0], parts[1]});
    cells_total += cells;
  }
  return cells_total == anchors ? maps : std::vector<RawMaps>{};
}

std::shared_ptr<ov::Model> cut_at(const ov::Model& model, const std::vector<RawMaps>& maps) {
  ov::ResultVector results;
  for (const RawMaps& map : maps) {
    results.push_back(std::make_shared<ov::op::v0::Result>(map.distances));
    results.push_back(std::make_shared<ov::op::v0::Result>(map.scores));
  }
  return std::make_shared<ov::Model>(results, model.get_parameters(), model.get_friendly_name());
}

void free_attention_shapes(const ov::Model& model) {
  const auto constant = [](std::vector<std::int64_t> values) {
    return ov::op::v0::Constant::create(ov::element::i64, {values.size()}, values);
  };
  std::unordered_set<ov::Node*> splits;  // Reshapes of [N, C, H, W] into heads: [N, heads, channels, H * W]
  for (const auto& node : model.get_ordered_ops()) {
    if (!ov::is_type<ov::op::v1::Reshape>(node) || !ov::is_type<ov::op::v0::Constant>(node->get_input_node_ptr(1)))
      continue;
    const ov::Shape from = node->get_input_shape(0);
    const ov::Shape to = node->get_output_shape(0);
    if (from.size() != 4 || to.size() != 4) continue;
    ov::Output<ov::Node> pattern;
    if (to[3] == from[2] * from[3] && to[1] * to[2] == from[1]) {
      splits.insert(node.get());
      pattern = constant({0, static_cast<std::int64_t>(to[1]), static_cast<std::int64_t>(to[2]), -1});
    } else if (from[3] == to[2] * to[3] && from[1] * from[2] == to[1]) {
      // Back to a map: its height and width are those of the map that was split up.
      ov::Node* split = nullptr;
      walk_back(node.get(), [&](ov::Node* before) {
        if (split == nullptr && splits.contains(before)) split = before;
        return split == nullptr;
      });
      if (split == nullptr) continue;
      const auto shape = std::make_shared<ov::op::v3::ShapeOf>(split->input_value(0));
      const auto dimensions = [&](std::vector<std::int64_t> which) {
        return std::make_shared<ov::op::v8::Gather>(shape, constant(std::move(which)), constant({0}));
      };
      pattern = std::make_shared<ov::op::v0::Concat>(
          ov::OutputVector{dimensions({0}), constant({static_cast<std::int64_t>(to[1])}), dimensions({2, 3})}, 0);
    } else {
      continue;
    }
    const auto replacement = std::make_shared<ov::op::v1::Reshape>(node->input_value(0), pattern, true);
    replacement->set_friendly_name(node->get_friendly_name());
    ov::copy_runtime_info(node, replacement);
    const bool was_split = splits.erase(node.get()) > 0;
    ov::replace_node(node, replacement);
    if (was_split) splits.insert(replacement.get());
  }
}

}  // namespace gantry::engine::openvino
