#include "gantry/engine/graph/planner.hpp"

#include <algorithm>
#include <unordered_set>

#include "engine/graph/blocks.hpp"
#include "engine/graph/fusion.hpp"
#include "engine/graph/layout.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

std::string module_of(const std::string& node) {
  if (node.empty() || node.front() != '/') return {};
  return node.substr(1, node.find('/', 1) - 1);
}

/// Orders ops depth first from the head's maps, level by level: each chain stays together, which keeps few maps alive,
/// puts the parts of a block side by side and finishes the fine levels' heads early.
class Scheduler {
 public:
  explicit Scheduler(const FusedGraph& graph) : graph_(graph) {
    for (std::size_t i = 0; i < graph.ops.size(); ++i)
      for (const std::string& output : graph.ops[i].outputs) producer_[output] = i;
  }

  std::vector<std::size_t> run(const Head& head) {
    for (const Head::Level& level : head.levels) {
      visit(level.boxes);
      visit(level.classes);
    }
    return order_;
  }

 private:
  void visit(const std::string& tensor) {
    for (const Piece& piece : graph_.resolve(tensor)) {
      const auto found = producer_.find(piece.root);
      if (found == producer_.end() || !seen_.insert(found->second).second) continue;
      const FusedOp& op = graph_.ops[found->second];
      if (!op.residual.empty()) visit(op.residual);
      for (const std::string& input : op.inputs) visit(input);
      order_.push_back(found->second);
    }
  }

  const FusedGraph& graph_;
  std::unordered_map<std::string, std::size_t> producer_;
  std::unordered_set<std::size_t> seen_;
  std::vector<std::size_t> order_;
};

class Planner {
 public:
  Planner(const Model& model, engine::InputShape shape, const PlanOptions& options) : model_(model), options_(options) {
    plan_.shape = shape;
    plan_.model_hash = model.hash();
  }

  Plan run() {
    const engine::InputShape shape = plan_.shape;
    const SizedGraph sized = specialise(model_.raw_graph(shape), {1, 3, shape.height, shape.width});
    graph_ = fuse(model_, sized);
    layout_ = lay_out(graph_, sized.graph.input.name, options_);
    plan_.buffers = layout_.buffers;
    plan_.input = layout_.roots.at(sized.graph.input.name);
    Head head = model_.head();
    for (std::size_t i = 0; i < head.levels.size(); ++i) {  // as the sized graph names them
      head.levels[i].boxes = sized.graph.outputs[i].name;
      head.levels[i].classes = sized.graph.outputs[i + head.levels.size()].name;
    }
    for (const std::size_t index : Scheduler(graph_).run(head)) add(graph_.ops[index]);
    add_detect(head);
    mark_blocks(plan_);
    assign_segments(plan_, options_.l2_bytes, options_.order);
    return std::move(plan_);
  }

 private:
  std::vector<View> views(const std::string& tensor) const { return views_of(graph_, layout_, tensor); }

  void depend(std::vector<int>& ops, const std::string& tensor) const {
    for (const Piece& piece : graph_.resolve(tensor))
      if (const auto found = computed_by_.find(piece.root); found != computed_by_.end()) ops.push_back(found->second);
  }

  void add(FusedOp& fused) {
    Op op;
    op.name = fused.name;
    op.module = module_of(fused.name);
    op.params = fused.params;
    for (const std::string& input : fused.inputs) {
      const auto parts = views(input);
      op.inputs.insert(op.inputs.end(), parts.begin(), parts.end());
      depend(op.depends_on, input);
    }
    if (!fused.residual.empty()) {
      std::get<ConvOp>(op.params).residual = views(fused.residual).at(0);
      depend(op.depends_on, fused.residual);
    }
    for (const std::string& output : fused.outputs) {
      op.outputs.push_back(layout_.roots.at(output));
      if (op.as<CopyOp>() == nullptr) op.tensors.push_back(output);
      computed_by_[output] = static_cast<int>(plan_.ops.size());
      if (!options_.quantized) continue;
      const auto found = graph_.quantizers.find(output);
      op.quantizers.push_back(found == graph_.quantizers.end() ? std::nullopt : std::optional(found->second));
    }
    push(std::move(op));
  }

  void add_detect(const Head& head) {
    Op op;
    op.name = "detect";
    DetectOp detect;
    detect.classes = head.classes;
    detect.bins = head.bins;
    for (const Head::Level& level : head.levels) detect.strides.push_back(level.stride);
    op.params = std::move(detect);
    for (const std::string& tensor : head.tensors()) {
      const auto parts = views(tensor);
      GANTRY_EXPECTS(parts.size() == 1, "the head's map '" + tensor + "' lies in several buffers");
      op.inputs.push_back(parts.front());
      depend(op.depends_on, tensor);
    }
    push(std::move(op));
  }

  void push(Op op) {
    std::sort(op.depends_on.begin(), op.depends_on.end());
    op.depends_on.erase(std::unique(op.depends_on.begin(), op.depends_on.end()), op.depends_on.end());
    plan_.ops.push_back(std::move(op));
  }

  const Model& model_;
  const PlanOptions& options_;
  FusedGraph graph_;
  Layout layout_;
  Plan plan_;
  std::unordered_map<std::string, int> computed_by_;
};

}  // namespace

Plan make_plan(const Model& model, engine::InputShape shape, const PlanOptions& options) {
  GANTRY_EXPECTS(options.input_pitch >= 3, "input_pitch must hold three channels");
  GANTRY_EXPECTS(options.channel_multiple >= 1 && options.max_views >= 1, "channel_multiple and max_views start at 1");
  if (model.quantized() && !options.quantized)
    throw ModelError(model.info().path +
                     ": is quantised to 8 bits, which this engine doesn't run; give it the float model beside it");
  return Planner(model, shape, options).run();
}

}  // namespace gantry::graph
