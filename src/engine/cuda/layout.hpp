#pragma once
// Where a plan's views lie in a lane's memory, for the launches of its groups.
#include <memory>
#include <utility>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/steps.hpp"

namespace gantry::cuda {

/// A plan with its parameters: what every launch looks up. Shared by the launches of all groups.
class Layout {
 public:
  Layout(std::shared_ptr<const graph::Plan> plan, WeightStore& weights) : plan_(std::move(plan)), weights_(weights) {}

  [[nodiscard]] const graph::Plan& plan() const { return *plan_; }
  [[nodiscard]] WeightStore& weights() const { return weights_; }
  [[nodiscard]] const graph::Op& op(int i) const { return plan_->ops[static_cast<std::size_t>(i)]; }
  [[nodiscard]] const graph::Buffer& buffer(const graph::View& view) const {
    return plan_->buffers[static_cast<std::size_t>(view.buffer)];
  }
  [[nodiscard]] graph::MapSize size(const graph::View& view) const { return graph::size_of(*plan_, view); }
  [[nodiscard]] int pitch(const graph::View& view) const { return buffer(view).pitch; }
  /// The view's first element of image `first` of the batch.
  [[nodiscard]] __half* at(const Binding& binding, const graph::View& view, int first) const {
    const graph::Buffer& b = buffer(view);
    if (b.external) return binding.input + static_cast<std::size_t>(first) * b.height * b.width * b.pitch;
    const std::size_t skip = b.segment < 0 ? static_cast<std::size_t>(first) * b.bytes() : 0;
    return reinterpret_cast<__half*>(binding.arena + plan_->offset_of(view.buffer, binding.batch) + skip) +
           view.channel;
  }
  void bind_conv(ConvArgs& args, const Binding& binding, int i, int first, int images) const {
    const graph::Op& o = op(i);
    for (std::size_t s = 0; s < o.inputs.size(); ++s) args.sources[s].data = at(binding, o.inputs[s], first);
    args.n = images;
    args.out = at(binding, o.outputs[0], first);
    if (const auto& residual = o.as<graph::ConvOp>()->residual) args.residual = at(binding, *residual, first);
  }
  void fill_levels(DetectArgs& args, const graph::DetectOp& detect, int i, const Binding& binding, int first) const {
    const std::size_t levels = detect.strides.size();
    args.level_count = static_cast<int>(levels), args.anchors = 0;
    args.classes = detect.classes, args.bins = detect.bins;
    for (std::size_t l = 0; l < levels; ++l) {
      const graph::View &boxes = op(i).inputs[l], &classes = op(i).inputs[levels + l];
      const graph::MapSize map = size(boxes);
      args.levels[l] = {at(binding, boxes, first),
                        at(binding, classes, first),
                        pitch(boxes),
                        pitch(classes),
                        map.height,
                        map.width,
                        static_cast<float>(detect.strides[l]),
                        args.anchors};
      args.anchors += map.height * map.width;
    }
  }

 private:
  std::shared_ptr<const graph::Plan> plan_;
  WeightStore& weights_;
};

}  // namespace gantry::cuda
