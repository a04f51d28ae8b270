#include "engine/cuda/kernels/attention.hpp"
#include "engine/cuda/kernels/plain.hpp"
#include "engine/cuda/kernels/pool.hpp"
#include "engine/cuda/step_builder.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::cuda {

Step StepBuilder::pool_chain_step(int i, const graph::PoolChainOp& pool) {
  PoolChainArgs args;
  const Op& o = op(i);
  args.h = size(o.inputs[0]).height, args.w = size(o.inputs[0]).width, args.channels = o.inputs[0].channels;
  args.in_pitch = pitch(o.inputs[0]), args.kernel = pool.kernel, args.stages = pool.stages;
  if (!pool_chain_fits(args))
    throw ModelError("the pools at " + o.name + " are too large for the CUDA kernel: use a smaller input size");
  return {"pool chain",
          {{"", [l = layout_, args, i](const Binding& binding, int first, int images, const LaunchShape& shape,
                                       cudaStream_t stream) {
              PoolChainArgs bound = args;
              const Op& self = l->op(i);
              bound.in = l->at(binding, self.inputs[0], first), bound.n = images;
              for (std::size_t s = 0; s < self.outputs.size(); ++s)
                bound.out[s] = l->at(binding, self.outputs[s], first), bound.out_pitch[s] = l->pitch(self.outputs[s]);
              return launch_pool_chain(bound, shape, stream);
            }}}};
}

Step StepBuilder::max_pool_step(int i, const graph::MaxPoolOp& pool) {
  return {"max pool",
          {{"", [l = layout_, pool, i](const Binding& binding, int first, int images, const LaunchShape& shape,
                                       cudaStream_t stream) {
              const View &in = l->op(i).inputs[0], &out = l->op(i).outputs[0];
              MaxPoolArgs args;
              args.in = l->at(binding, in, first), args.in_pitch = l->pitch(in);
              args.out = l->at(binding, out, first), args.out_pitch = l->pitch(out);
              args.n = images, args.h = l->size(in).height, args.w = l->size(in).width;
              args.oh = l->size(out).height, args.ow = l->size(out).width, args.channels = in.channels;
              args.kernel = pool.kernel, args.stride = pool.stride, args.pad = pool.pad;
              return launch_max_pool(args, shape, stream);
            }}}};
}

Step StepBuilder::attention_step(int i, const graph::AttentionOp& attention) {
  if (attention.key_dim != kAttentionKeyDim || attention.head_dim != kAttentionHeadDim ||
      attention.position->kernel_h != 3)
    throw ModelError("the attention at " + op(i).name + " has heads of " + std::to_string(attention.key_dim) + " and " +
                     std::to_string(attention.head_dim) + " channels; the CUDA kernel runs 32 and 64");
  const MapSize map = size(op(i).inputs[0]);
  Step step{"attention " + std::to_string(attention.heads) + " " + std::to_string(map.height) + "x" +
                std::to_string(map.width),
            {}};
  for (const AttentionVariant& variant : attention_variants())
    step.candidates.push_back(
        {variant.name, [l = layout_, attention, &variant, i](const Binding& binding, int first, int images,
                                                             const LaunchShape& shape, cudaStream_t stream) {
           const View &in = l->op(i).inputs[0], &out = l->op(i).outputs[0];
           const FloatWeights w = l->weights().plain(*attention.position, true);
           AttentionArgs args;
           args.qkv = l->at(binding, in, first), args.qkv_pitch = l->pitch(in);
           args.out = l->at(binding, out, first), args.out_pitch = l->pitch(out);
           args.n = images, args.h = l->size(in).height, args.w = l->size(in).width;
           args.heads = attention.heads, args.scale = attention.scale;
           args.position = w.weights, args.position_bias = w.bias;
           return launch_attention(variant, args, shape, stream);
         }});
  return step;
}

Step StepBuilder::merge_step(int i) {
  return {"merge",
          {{"", [l = layout_, i](const Binding& binding, int first, int images, const LaunchShape& shape,
                                 cudaStream_t stream) {
              const Op& self = l->op(i);
              MergeArgs args;
              args.a = l->at(binding, self.inputs[0], first), args.a_pitch = l->pitch(self.inputs[0]);
              args.a_shift = self.inputs[0].upsample == 2;
              if (self.inputs.size() > 1) {
                args.b = l->at(binding, self.inputs[1], first), args.b_pitch = l->pitch(self.inputs[1]);
                args.b_shift = self.inputs[1].upsample == 2;
              }
              const View& out = self.outputs[0];
              args.out = l->at(binding, out, first), args.out_pitch = l->pitch(out);
              args.n = images, args.h = l->size(out).height, args.w = l->size(out).width;
              args.channels = out.channels;
              return launch_merge(args, shape, stream);
            }}}};
}

bool StepBuilder::detect(int i) {
  const auto* head = op(i).as<graph::DetectOp>();
  if (head == nullptr) return false;
  if (head->strides.size() > kMaxLevels)
    throw ModelError("the head has " + std::to_string(head->strides.size()) + " levels; the CUDA kernel runs " +
                     std::to_string(kMaxLevels));
  const auto step = [&](const char* name, auto launch) {
    return Step{name,
                {{"", [l = layout_, head = *head, launch, i](const Binding& binding, int first, int images,
                                                             const LaunchShape& shape, cudaStream_t stream) {
                    DetectArgs args = binding.detect;
                    l->fill_levels(args, head, i, binding, first);
                    args.n = images;
                    return launch(args, shape, stream);
                  }}}};
  };
  add({i}, {{"", {step("decode", launch_decode), step("rank", launch_rank), step("nms", launch_nms)}}});
  return true;
}

}  // namespace gantry::cuda
