#pragma once
// Makes a plan's groups: which ops go together, and which kernels can run them. One builder a plan; not thread-safe.
#include <memory>
#include <vector>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/layout.hpp"
#include "engine/cuda/steps.hpp"

namespace gantry::cuda {

using graph::ConvOp;
using graph::MapSize;
using graph::Op;
using graph::Plan;
using graph::View;

class StepBuilder {
 public:
  StepBuilder(std::shared_ptr<const Plan> plan, WeightStore& weights, const DeviceInfo& device);
  std::vector<Group> build();

 private:
  // --- the plan and its groups ---------------------------------------------------------------------------------------
  [[nodiscard]] const Op& op(int i) const { return layout_->op(i); }
  [[nodiscard]] const graph::Buffer& buffer(const View& view) const { return layout_->buffer(view); }
  [[nodiscard]] MapSize size(const View& view) const { return layout_->size(view); }
  [[nodiscard]] int pitch(const View& view) const { return layout_->pitch(view); }
  [[nodiscard]] static bool silu(const ConvOp& conv) { return conv.activation == graph::Activation::kSilu; }
  void add(std::vector<int> ops, std::vector<Way> ways);
  void link();
  /// The only op that reads any of `view`, or -1.
  [[nodiscard]] int only_reader(const View& view) const;
  [[nodiscard]] int segment_of(int i) const;
  [[nodiscard]] bool free_together(int i, int j) const;
  /// A dense square convolution of this size, "same" padding.
  [[nodiscard]] const ConvOp* dense(int i, int kernel, int stride) const;
  /// Channels that a kernel may write for a view: rounded up to 8 where the buffer has room for it and nothing else
  /// lies there.
  [[nodiscard]] int writable(const View& view) const;
  [[nodiscard]] Step step(int i);

  // --- convolutions (step_convolutions.cpp) --------------------------------------------------------------------------
  /// Everything of ConvArgs that does not depend on where memory lies.
  [[nodiscard]] ConvArgs conv_shape(int i) const;
  /// The dense convolution of op i (and `sibling`, which reads the same, beside it; or `tail`, the 1×1 behind it).
  [[nodiscard]] Step conv_step(int i, int sibling = -1, int tail = -1);
  [[nodiscard]] Step stem_step(int i);
  /// Any convolution that has no tiled kernel.
  [[nodiscard]] Step plain_step(int i);

  // --- fused runs (step_fusions.cpp) ---------------------------------------------------------------------------------
  bool bottleneck(int i);
  /// The dense 1×1 without activation that alone reads op i's output, or -1.
  [[nodiscard]] int tail_of(int i) const;
  bool with_tail(int i);
  [[nodiscard]] Step depthwise_pointwise_step(int i, int j, int tail);
  bool depthwise_pointwise(int i);
  /// Two 1×1 convolutions of the same input, as C3k has them.
  bool siblings(int i);

  // --- other ops (step_others.cpp) -----------------------------------------------------------------------------------
  [[nodiscard]] Step pool_chain_step(int i, const graph::PoolChainOp& pool);
  [[nodiscard]] Step max_pool_step(int i, const graph::MaxPoolOp& pool);
  [[nodiscard]] Step attention_step(int i, const graph::AttentionOp& attention);
  [[nodiscard]] Step merge_step(int i);
  bool detect(int i);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const Layout> layout_;
  DeviceInfo device_;
  std::vector<bool> used_;
  std::vector<Group> groups_;
};

}  // namespace gantry::cuda
