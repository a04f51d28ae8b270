#pragma once
// From an imported Model to the fused Plan of one input rectangle.
#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/plan.hpp"

namespace gantry::graph {

struct PlanOptions {
  DataType activations = DataType::kFloat16;
  /// Elements. Every pitch is a multiple of it, and so is every view's first channel as far as the model's own channel
  /// counts allow (all of YOLO11 and YOLOv8).
  int channel_multiple = 8;
  int input_pitch = 4;  ///< elements a pixel of the network's input, at least 3
  /// kSequential: the arena is packed for running the ops one after the other. kDependencies: buffers share memory only
  /// where a dependency separates them, so that independent branches may run side by side.
  enum class Order { kSequential, kDependencies } order = Order::kSequential;
  int max_views = 2;  ///< input views of one convolution; more are copied together first
  /// Plan a quantised model: what the file rounds is rounded, and buffers of one quantiser hold bytes. Without it such
  /// a model is refused.
  bool quantized = false;
  /// Where not 0, the early, wide layers become a segment of sub-batches whose maps fit this many bytes (L2).
  std::size_t l2_bytes = 0;
};

/// @throws ModelError naming node and operator where the graph holds something that no op covers, or where the shape's
/// sides aren't multiples of the model's stride.
[[nodiscard]] Plan make_plan(const Model& model, engine::InputShape shape, const PlanOptions& options = {});

/// Packs the arena anew after somebody changed the buffers' types or the segments.
void assign_arena(Plan& plan, PlanOptions::Order order);

/// Cuts the ops into segments of sub-batches that fit `l2_bytes` (0: one segment, the whole batch) and packs the arena.
void assign_segments(Plan& plan, std::size_t l2_bytes, PlanOptions::Order order);

}  // namespace gantry::graph
