#include <algorithm>

#include "engine/cuda/kernels/plain.hpp"
#include "engine/cuda/kernels/stem.hpp"
#include "engine/cuda/kernels/tma_conv.hpp"
#include "engine/cuda/step_builder.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::cuda {

namespace {

/// Wider tiles than this would multiply zeros only.
int widest_tile(const ConvArgs& args) {
  return std::max(64, 2 * round_up(args.cout, 16));
}

}  // namespace

ConvArgs StepBuilder::conv_shape(int i) const {
  const Op& o = op(i);
  const auto& conv = *o.as<ConvOp>();
  ConvArgs args;
  int begin = 0;
  for (std::size_t s = 0; s < o.inputs.size() && s < kMaxConvSources; ++s) {
    args.source_begin[s] = begin;
    args.sources[s].pitch = pitch(o.inputs[s]);
    args.sources[s].upsample = o.inputs[s].upsample == 2 ? 1 : 0;
    begin += o.inputs[s].channels;
  }
  args.cin = begin;
  args.h = size(o.inputs[0]).height, args.w = size(o.inputs[0]).width;
  args.oh = size(o.outputs[0]).height, args.ow = size(o.outputs[0]).width;
  args.cout = writable(o.outputs[0]);
  args.out_pitch = pitch(o.outputs[0]);
  args.residual_pitch = conv.residual ? pitch(*conv.residual) : 0;
  args.silu = silu(conv);
  return args;
}

Step StepBuilder::conv_step(int i, int sibling, int tail) {
  const auto& conv = *op(i).as<ConvOp>();
  ConvArgs args = conv_shape(i);
  WeightStore::Layers layers{conv.weights};
  if (sibling >= 0) {
    const View& second = op(sibling).outputs[0];
    layers.push_back(op(sibling).as<ConvOp>()->weights);
    args.out_split = args.cout;
    args.cout += writable(second);
    args.out2_pitch = pitch(second);
  }
  if (tail >= 0) {
    args.tail_cout = writable(op(tail).outputs[0]);
    args.out_pitch = pitch(op(tail).outputs[0]);
  }
  Step step;
  step.key = "conv " + std::to_string(conv.weights->kernel_h) + "s" + std::to_string(conv.stride) + " " +
             std::to_string(args.h) + "x" + std::to_string(args.w) + " " + std::to_string(args.cin) + "/" +
             std::to_string(args.source_begin[1]) + "u" + std::to_string(args.sources[0].upsample) + " " +
             std::to_string(args.cout) + (args.out_split < args.cout ? "s" : "") + (conv.residual ? "r" : "") +
             (tail >= 0 ? "t" + std::to_string(args.tail_cout) : "");
  // Everything but the weights, whose order depends on the variant.
  const auto bind = [l = layout_, args, i, sibling, tail](const Binding& binding, int first, int images) {
    ConvArgs bound = args;
    l->bind_conv(bound, binding, i, first, images);
    if (sibling >= 0) bound.out2 = l->at(binding, l->op(sibling).outputs[0], first);
    if (tail >= 0) {
      const PackedWeights t = l->weights().conv({l->op(tail).as<ConvOp>()->weights}, 16, 16, false);
      bound.tail_weights = t.weights, bound.tail_bias = t.bias;
      bound.out = l->at(binding, l->op(tail).outputs[0], first);
    }
    return bound;
  };
  for (const ConvVariant& variant : conv_variants(conv.weights->kernel_h, conv.stride)) {
    if (variant.bn > widest_tile(args) || (variant.warpgroup && !device_.has_warpgroups())) continue;
    for (const bool resident : {true, false}) {
      if (!conv_fits(variant, args, resident)) continue;
      step.candidates.push_back(
          {std::string(variant.name) + (resident ? "R" : "S"),
           [bind, l = layout_, &variant, resident, layers](const Binding& binding, int first, int images,
                                                           const LaunchShape& shape, cudaStream_t stream) {
             ConvArgs bound = bind(binding, first, images);
             const PackedWeights w = l->weights().conv(layers, variant.bn, variant.group, variant.warpgroup);
             bound.weights = w.weights, bound.bias = w.bias;
             return launch_conv(variant, resident, bound, shape, stream);
           }});
    }
  }
  if (!device_.has_warpgroups()) return step;
  for (const TmaConvVariant& variant : tma_conv_variants(conv.weights->kernel_h, conv.stride)) {
    if (variant.bn > widest_tile(args) || !tma_conv_fits(variant, args)) continue;
    step.candidates.push_back(
        {variant.name, [bind, l = layout_, &variant, layers](const Binding& binding, int first, int images,
                                                             const LaunchShape& shape, cudaStream_t stream) {
           ConvArgs bound = bind(binding, first, images);
           const PackedWeights w = l->weights().tma_conv(layers, variant.bn, variant.ck);
           bound.weights = w.weights, bound.bias = w.bias;
           return launch_tma_conv(variant, bound, shape, stream);
         }});
  }
  return step;
}

Step StepBuilder::stem_step(int i) {
  StemArgs args;
  const Op& o = op(i);
  args.h = size(o.inputs[0]).height, args.w = size(o.inputs[0]).width;
  args.oh = size(o.outputs[0]).height, args.ow = size(o.outputs[0]).width;
  args.out_pitch = pitch(o.outputs[0]), args.cout = o.outputs[0].channels;
  args.silu = silu(*o.as<ConvOp>());
  return {"stem " + std::to_string(args.cout),
          {{"stem", [l = layout_, args, i](const Binding& binding, int first, int images, const LaunchShape& shape,
                                           cudaStream_t stream) {
              StemArgs bound = args;
              const Op& self = l->op(i);
              const PackedWeights w = l->weights().stem(*self.as<ConvOp>()->weights);
              bound.in = l->at(binding, self.inputs[0], first), bound.out = l->at(binding, self.outputs[0], first);
              bound.n = images, bound.weights = w.weights, bound.bias = w.bias;
              return launch_stem(bound, shape, stream);
            }}}};
}

Step StepBuilder::plain_step(int i) {
  const Op& o = op(i);
  const auto& conv = *o.as<ConvOp>();
  if (o.inputs.size() != 1 || o.inputs[0].upsample != 1 || (conv.groups != 1 && conv.groups != conv.weights->out) ||
      conv.weights->kernel_h != conv.weights->kernel_w)
    throw ModelError("no CUDA kernel runs the convolution " + o.name +
                     " (grouped, not square, or of several inputs); run this model on the CPU");
  PlainConvArgs args;
  args.in_pitch = pitch(o.inputs[0]), args.h = size(o.inputs[0]).height, args.w = size(o.inputs[0]).width;
  args.cin = o.inputs[0].channels, args.out_pitch = pitch(o.outputs[0]), args.oh = size(o.outputs[0]).height;
  args.ow = size(o.outputs[0]).width, args.cout = o.outputs[0].channels, args.kernel = conv.weights->kernel_h;
  args.stride = conv.stride, args.pad = conv.pad, args.silu = silu(conv), args.depthwise = conv.depthwise();
  const auto run = [l = layout_, args, i](const Binding& binding, int first, int images, const LaunchShape& shape,
                                          cudaStream_t stream, bool vectors) {
    PlainConvArgs bound = args;
    const Op& self = l->op(i);
    const auto& layer = *self.as<ConvOp>();
    const FloatWeights w = l->weights().plain(*layer.weights, layer.depthwise());
    bound.in = l->at(binding, self.inputs[0], first), bound.out = l->at(binding, self.outputs[0], first);
    bound.n = images, bound.weights = w.weights, bound.bias = w.bias;
    if (layer.residual)
      bound.residual = l->at(binding, *layer.residual, first), bound.residual_pitch = l->pitch(*layer.residual);
    return vectors ? launch_depthwise(bound, shape, stream) : launch_plain_conv(bound, shape, stream);
  };
  const bool vectors = depthwise_fits(args);
  return {"plain " + std::to_string(args.kernel) + " " + std::to_string(args.cin) + " " + std::to_string(args.h),
          {{vectors ? "depthwise" : "plain",
            [run, vectors](const Binding& b, int f, int n, const LaunchShape& s, cudaStream_t stream) {
              return run(b, f, n, s, stream, vectors);
            }}}};
}

}  // namespace gantry::cuda
