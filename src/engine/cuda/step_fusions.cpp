#include "engine/cuda/kernels/bottleneck.hpp"
#include "engine/cuda/kernels/depthwise_pointwise.hpp"
#include "engine/cuda/step_builder.hpp"

namespace gantry::cuda {

bool StepBuilder::bottleneck(int i) {
  const int j = i + 1, b = op(i).block;
  if (b < 0 || plan_->blocks[static_cast<std::size_t>(b)].kind != graph::BlockKind::kBottleneck ||
      plan_->blocks[static_cast<std::size_t>(b)].first_op != i ||
      plan_->blocks[static_cast<std::size_t>(b)].op_count != 2)
    return false;
  const ConvOp *first = dense(i, 3, 1), *second = dense(j, 3, 1);
  if (first == nullptr || second == nullptr || !silu(*first) || !silu(*second) || first->residual ||
      !free_together(i, j) || op(i).inputs.size() != 1 || op(i).inputs[0].upsample != 1)
    return false;
  const View &in = op(i).inputs[0], &out = op(j).outputs[0];
  if (in.channels != out.channels || (second->residual && !(*second->residual == in))) return false;
  Step fused{"bottleneck " + std::to_string(in.channels) + "/" + std::to_string(first->weights->out) + " " +
                 std::to_string(size(in).height) + "x" + std::to_string(size(in).width),
             {}};
  for (const BottleneckVariant& variant : bottleneck_variants()) {
    if (variant.channels != in.channels || variant.mid != round_up(first->weights->out, 16) ||
        (variant.warpgroup && !device_.has_warpgroups()))
      continue;
    fused.candidates.push_back(
        {variant.name, [l = layout_, &variant, i, j](const Binding& binding, int from, int images,
                                                     const LaunchShape& shape, cudaStream_t stream) {
           const View &source = l->op(i).inputs[0], &target = l->op(j).outputs[0];
           const PackedWeights w1 =
               l->weights().conv({l->op(i).as<ConvOp>()->weights}, variant.mid, variant.group1, variant.warpgroup);
           const PackedWeights w2 =
               l->weights().conv({l->op(j).as<ConvOp>()->weights}, variant.channels, variant.group2, variant.warpgroup);
           BottleneckArgs args;
           args.in = l->at(binding, source, from), args.in_pitch = l->pitch(source);
           args.out = l->at(binding, target, from), args.out_pitch = l->pitch(target);
           args.n = images, args.h = l->size(source).height, args.w = l->size(source).width;
           args.add = l->op(j).as<ConvOp>()->residual.has_value();
           args.weights1 = w1.weights, args.bias1 = w1.bias, args.weights2 = w2.weights, args.bias2 = w2.bias;
           return launch_bottleneck(variant, args, shape, stream);
         }});
  }
  if (fused.candidates.empty()) return false;
  const int tail = tail_of(j);
  if (tail < 0) {
    add({i, j}, {{"fused", {std::move(fused)}}, {"apart", {step(i), step(j)}}});
    return true;
  }
  std::vector<Way> ways{{"fused", {std::move(fused), step(tail)}}, {"apart", {step(i), step(j), step(tail)}}};
  if (Step last = conv_step(j, -1, tail); !second->residual && !last.candidates.empty())
    ways.push_back({"with tail", {step(i), std::move(last)}});
  add({i, j, tail}, std::move(ways));
  return true;
}

int StepBuilder::tail_of(int i) const {
  if (op(i).outputs.size() != 1) return -1;
  const int j = only_reader(op(i).outputs[0]);
  if (j < 0 || !free_together(i, j)) return -1;
  const ConvOp* conv = dense(j, 1, 1);
  const bool plain = conv != nullptr && !silu(*conv) && !conv->residual && op(j).inputs.size() == 1;
  return plain && op(j).inputs[0] == op(i).outputs[0] && writable(op(j).outputs[0]) % 8 == 0 ? j : -1;
}

bool StepBuilder::with_tail(int i) {
  const ConvOp* conv = dense(i, 3, 1);
  if (conv == nullptr || conv->residual) return false;
  const int j = tail_of(i);
  if (j < 0) return false;
  Step fused = conv_step(i, -1, j);
  if (fused.candidates.empty()) return false;
  add({i, j}, {{"fused", {std::move(fused)}}, {"apart", {step(i), step(j)}}});
  return true;
}

Step StepBuilder::depthwise_pointwise_step(int i, int j, int tail) {
  const View& in = op(i).inputs[0];
  const ConvOp &dw = *op(i).as<ConvOp>(), &pw = *op(j).as<ConvOp>();
  const View& out = op(tail >= 0 ? tail : j).outputs[0];
  DepthwisePointwiseArgs args;
  args.in_pitch = pitch(in), args.h = size(in).height, args.w = size(in).width, args.cin = in.channels;
  args.out_pitch = pitch(out), args.cout = writable(op(j).outputs[0]);
  args.depthwise_silu = silu(dw), args.silu = silu(pw);
  args.tail_cout = tail >= 0 ? writable(out) : 0;
  Step step{"dw+pw " + std::to_string(args.h) + "x" + std::to_string(args.w) + " " + std::to_string(args.cin) + " " +
                std::to_string(args.cout) + " t" + std::to_string(args.tail_cout),
            {}};
  for (const DepthwisePointwiseVariant& variant : depthwise_pointwise_variants()) {
    if (!depthwise_pointwise_fits(variant, args) || variant.bn >= 2 * round_up(args.cout, 64)) continue;
    step.candidates.push_back(
        {variant.name, [l = layout_, &variant, args, i, j, tail](const Binding& binding, int first, int images,
                                                                 const LaunchShape& shape, cudaStream_t stream) {
           DepthwisePointwiseArgs bound = args;
           const PackedWeights w1 = l->weights().depthwise(*l->op(i).as<ConvOp>()->weights);
           const PackedWeights w2 =
               l->weights().conv({l->op(j).as<ConvOp>()->weights}, variant.bn, variant.group, false);
           bound.in = l->at(binding, l->op(i).inputs[0], first), bound.n = images;
           bound.out = l->at(binding, l->op(tail >= 0 ? tail : j).outputs[0], first);
           bound.depthwise = w1.weights, bound.depthwise_bias = w1.bias, bound.weights = w2.weights,
           bound.bias = w2.bias;
           if (tail >= 0) {
             const PackedWeights w3 = l->weights().conv({l->op(tail).as<ConvOp>()->weights}, 16, 16, false);
             bound.tail_weights = w3.weights, bound.tail_bias = w3.bias;
           }
           return launch_depthwise_pointwise(variant, bound, shape, stream);
         }});
  }
  return step;
}

bool StepBuilder::depthwise_pointwise(int i) {
  const auto* dw = op(i).as<ConvOp>();
  if (dw == nullptr || !dw->depthwise() || dw->stride != 1 || dw->pad != 1 || dw->weights->kernel_h != 3 ||
      dw->residual || op(i).inputs.size() != 1 || op(i).inputs[0].upsample != 1)
    return false;
  const int j = only_reader(op(i).outputs[0]);
  if (j < 0 || !free_together(i, j) || dense(j, 1, 1) == nullptr || dense(j, 1, 1)->residual ||
      op(j).inputs.size() != 1 || !(op(j).inputs[0] == op(i).outputs[0]))
    return false;
  std::vector<Way> ways;
  std::vector<int> ops{i, j};
  const int tail = tail_of(j);
  if (tail >= 0) ops.push_back(tail);
  const auto with = [&](std::vector<Step> steps) {
    if (tail >= 0) steps.push_back(step(tail));
    return steps;
  };
  if (tail >= 0)
    if (Step all = depthwise_pointwise_step(i, j, tail); !all.candidates.empty())
      ways.push_back({"fused with tail", {std::move(all)}});
  if (Step pair = depthwise_pointwise_step(i, j, -1); !pair.candidates.empty())
    ways.push_back({"fused", with({std::move(pair)})});
  ways.push_back({"apart", with({step(i), step(j)})});
  add(std::move(ops), std::move(ways));
  return true;
}

bool StepBuilder::siblings(int i) {
  const ConvOp* first = dense(i, 1, 1);
  if (first == nullptr || first->residual || first->weights->out % 32 != 0) return false;
  for (int j = i + 1; j < static_cast<int>(plan_->ops.size()); ++j) {
    const ConvOp* second = dense(j, 1, 1);
    if (second == nullptr || second->residual || second->weights->out % 32 != 0 || !free_together(i, j) ||
        op(j).inputs != op(i).inputs || second->activation != first->activation || op(j).depends_on != op(i).depends_on)
      continue;
    Step merged = conv_step(i, j);
    if (merged.candidates.empty()) return false;
    add({i, j}, {{"merged", {std::move(merged)}}, {"apart", {step(i), step(j)}}});
    return true;
  }
  return false;
}

}  // namespace gantry::cuda
