#include "engine/cuda/steps.hpp"

#include <algorithm>
#include <set>

#include "engine/cuda/step_builder.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cuda {

StepBuilder::StepBuilder(std::shared_ptr<const Plan> plan, WeightStore& weights, const DeviceInfo& device)
    : plan_(plan), layout_(std::make_shared<Layout>(plan, weights)), device_(device), used_(plan->ops.size(), false) {}

std::vector<Group> StepBuilder::build() {
  for (int i = 0; i < static_cast<int>(plan_->ops.size()); ++i) {
    if (used_[static_cast<std::size_t>(i)]) continue;
    if (bottleneck(i) || depthwise_pointwise(i) || with_tail(i) || siblings(i) || detect(i)) continue;
    add({i}, {{"", {step(i)}}});
  }
  link();
  return std::move(groups_);
}

void StepBuilder::add(std::vector<int> ops, std::vector<Way> ways) {
  Group group;
  group.ops = std::move(ops);
  group.segment = segment_of(group.ops.front());
  group.ways = std::move(ways);
  for (const int i : group.ops) used_[static_cast<std::size_t>(i)] = true;
  groups_.push_back(std::move(group));
}

void StepBuilder::link() {
  std::vector<int> group_of(plan_->ops.size(), 0);
  for (std::size_t g = 0; g < groups_.size(); ++g)
    for (const int i : groups_[g].ops) group_of[static_cast<std::size_t>(i)] = static_cast<int>(g);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    std::set<int> after;
    for (const int i : groups_[g].ops)
      for (const int d : op(i).depends_on)
        if (group_of[static_cast<std::size_t>(d)] != static_cast<int>(g))
          after.insert(group_of[static_cast<std::size_t>(d)]);
    groups_[g].after.assign(after.begin(), after.end());
  }
}

int StepBuilder::only_reader(const View& view) const {
  int reader = -1;
  for (int i = 0; i < static_cast<int>(plan_->ops.size()); ++i) {
    const auto reads = [&](const View& v) {
      return v.buffer == view.buffer && v.channel < view.channel + view.channels &&
             view.channel < v.channel + v.channels;
    };
    const auto* conv = op(i).as<ConvOp>();
    if (std::any_of(op(i).inputs.begin(), op(i).inputs.end(), reads) ||
        (conv != nullptr && conv->residual.has_value() && reads(*conv->residual))) {
      if (reader >= 0) return -1;
      reader = i;
    }
  }
  return reader;
}

int StepBuilder::segment_of(int i) const {
  int s = 0;
  while (s + 1 < static_cast<int>(plan_->segments.size()) &&
         i >= plan_->segments[static_cast<std::size_t>(s + 1)].first_op)
    ++s;
  return s;
}

bool StepBuilder::free_together(int i, int j) const {
  return j > i && !used_[static_cast<std::size_t>(j)] && segment_of(i) == segment_of(j);
}

const ConvOp* StepBuilder::dense(int i, int kernel, int stride) const {
  const auto* conv = op(i).as<ConvOp>();
  if (conv == nullptr || conv->depthwise() || conv->stride != stride || conv->pad != kernel / 2) return nullptr;
  return conv->weights->kernel_h == kernel && conv->weights->kernel_w == kernel ? conv : nullptr;
}

int StepBuilder::writable(const View& view) const {
  const int rounded = round_up(view.channels, 8);
  return view.channel + view.channels == buffer(view).channels && view.channel + rounded <= buffer(view).pitch
             ? rounded
             : view.channels;
}

Step StepBuilder::step(int i) {
  const Op& o = op(i);
  if (const auto* conv = o.as<ConvOp>()) {
    const bool first = o.inputs.size() == 1 && buffer(o.inputs[0]).external;
    if (first && dense(i, 3, 2) != nullptr && o.inputs[0].channels == 3 && pitch(o.inputs[0]) == 4 && !conv->residual &&
        o.outputs[0].channels % 8 == 0)
      return stem_step(i);
    if (!first && !conv->depthwise() && conv->weights->kernel_h == conv->weights->kernel_w &&
        dense(i, conv->weights->kernel_h, conv->stride) != nullptr && o.inputs.size() <= kMaxConvSources)
      if (Step tiled = conv_step(i); !tiled.candidates.empty()) return tiled;
    return plain_step(i);
  }
  if (const auto* pool = o.as<graph::PoolChainOp>()) return pool_chain_step(i, *pool);
  if (const auto* pool = o.as<graph::MaxPoolOp>()) return max_pool_step(i, *pool);
  if (const auto* attention = o.as<graph::AttentionOp>()) return attention_step(i, *attention);
  if (o.as<graph::AddOp>() != nullptr || o.as<graph::CopyOp>() != nullptr) return merge_step(i);
  throw ModelError(std::string("no CUDA kernel runs ") + graph::kind_name(o) + " " + o.name);
}

void separate_fused(graph::Plan& plan, const DeviceInfo& device) {
  Plan extended = plan;
  WeightStore none;
  for (const Group& group : make_groups(std::make_shared<const Plan>(plan), none, device)) {
    std::vector<View> inputs;
    for (const int i : group.ops) {
      const Op& own = plan.ops[static_cast<std::size_t>(i)];
      inputs.insert(inputs.end(), own.inputs.begin(), own.inputs.end());
      extended.ops[static_cast<std::size_t>(i)].inputs = inputs;
    }
  }
  graph::assign_arena(extended, graph::PlanOptions::Order::kDependencies);
  plan.buffers = std::move(extended.buffers);
  plan.crossing_bytes = extended.crossing_bytes;
  plan.local_bytes = std::move(extended.local_bytes);
}

std::vector<Group> make_groups(std::shared_ptr<const graph::Plan> plan, WeightStore& weights,
                               const DeviceInfo& device) {
  return StepBuilder(std::move(plan), weights, device).build();
}

}  // namespace gantry::cuda
