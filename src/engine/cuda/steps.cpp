#include "engine/cuda/steps.hpp"

#include <algorithm>
#include <set>

#include "engine/cuda/kernels/attention.hpp"
#include "engine/cuda/kernels/bottleneck.hpp"
#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/depthwise_pointwise.hpp"
#include "engine/cuda/kernels/plain.hpp"
#include "engine/cuda/kernels/pool.hpp"
#include "engine/cuda/kernels/stem.hpp"
#include "engine/cuda/layout.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cuda {

namespace {

using graph::ConvOp;
using graph::MapSize;
using graph::Op;
using graph::Plan;
using graph::View;

class Builder {
 public:
  Builder(std::shared_ptr<const Plan> plan, WeightStore& weights, const DeviceInfo& device)
      : plan_(plan),
        layout_(std::make_shared<Layout>(plan, weights)),
        device_(device),
        used_(plan->ops.size(), false) {}

  std::vector<Group> build() {
    for (int i = 0; i < static_cast<int>(plan_->ops.size()); ++i) {
      if (used_[static_cast<std::size_t>(i)]) continue;
      if (bottleneck(i) || depthwise_pointwise(i) || with_tail(i) || siblings(i) || detect(i)) continue;
      add({i}, {{"", {step(i)}}});
    }
    link();
    return std::move(groups_);
  }

 private:
  // --- the plan -----------------------------------------------------------------------------------------------------
  [[nodiscard]] const Op& op(int i) const { return layout_->op(i); }
  [[nodiscard]] const graph::Buffer& buffer(const View& view) const { return layout_->buffer(view); }
  [[nodiscard]] MapSize size(const View& view) const { return layout_->size(view); }
  [[nodiscard]] int pitch(const View& view) const { return layout_->pitch(view); }

  /// The only op that reads any of `view`, or -1.
  [[nodiscard]] int only_reader(const View& view) const {
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
  [[nodiscard]] int segment_of(int i) const {
    int s = 0;
    while (s + 1 < static_cast<int>(plan_->segments.size()) &&
           i >= plan_->segments[static_cast<std::size_t>(s + 1)].first_op)
      ++s;
    return s;
  }
  [[nodiscard]] bool free_together(int i, int j) const {
    return j > i && !used_[static_cast<std::size_t>(j)] && segment_of(i) == segment_of(j);
  }
  /// A dense square convolution of this size, "same" padding.
  [[nodiscard]] const ConvOp* dense(int i, int kernel, int stride) const {
    const auto* conv = op(i).as<ConvOp>();
    if (conv == nullptr || conv->depthwise() || conv->stride != stride || conv->pad != kernel / 2) return nullptr;
    return conv->weights->kernel_h == kernel && conv->weights->kernel_w == kernel ? conv : nullptr;
  }
  [[nodiscard]] static bool silu(const ConvOp& conv) { return conv.activation == graph::Activation::kSilu; }

  /// Channels that a kernel may write for a view: rounded up to 8 where the buffer has room for it and nothing else
  /// lies there.
  [[nodiscard]] int writable(const View& view) const {
    const int rounded = round_up(view.channels, 8);
    return view.channel + view.channels == buffer(view).channels && view.channel + rounded <= buffer(view).pitch
               ? rounded
               : view.channels;
  }

  // --- groups -------------------------------------------------------------------------------------------------------
  void add(std::vector<int> ops, std::vector<Way> ways) {
    Group group;
    group.ops = std::move(ops);
    group.segment = segment_of(group.ops.front());
    group.ways = std::move(ways);
    for (const int i : group.ops) used_[static_cast<std::size_t>(i)] = true;
    groups_.push_back(std::move(group));
  }
  void link() {
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

  // --- dense convolutions -------------------------------------------------------------------------------------------
  /// Everything of ConvArgs that does not depend on where memory lies.
  [[nodiscard]] ConvArgs conv_shape(int i) const {
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
  [[nodiscard]] bool runnable(const ConvVariant& variant, const ConvArgs& args) const {
    if (variant.warpgroup && !device_.has_warpgroups()) return false;
    return variant.bn <= std::max(64, 2 * round_up(args.cout, 16));
  }

  /// The dense convolution of op i (and `sibling`, which reads the same, beside it; or `tail`, the 1×1 behind it).
  [[nodiscard]] Step conv_step(int i, int sibling = -1, int tail = -1) {
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
    for (const ConvVariant& variant : conv_variants(conv.weights->kernel_h, conv.stride)) {
      if (!runnable(variant, args)) continue;
      for (const bool resident : {true, false}) {
        if (!conv_fits(variant, args, resident)) continue;
        step.candidates.push_back(
            {std::string(variant.name) + (resident ? "R" : "S"),
             [l = layout_, &variant, resident, args, layers, i, sibling, tail](
                 const Binding& binding, int first, int images, const LaunchShape& shape, cudaStream_t stream) {
               ConvArgs bound = args;
               l->bind_conv(bound, binding, i, first, images);
               const PackedWeights w = l->weights().conv(layers, variant.bn, variant.group, variant.warpgroup);
               bound.weights = w.weights, bound.bias = w.bias;
               if (sibling >= 0) bound.out2 = l->at(binding, l->op(sibling).outputs[0], first);
               if (tail >= 0) {
                 const PackedWeights t = l->weights().conv({l->op(tail).as<ConvOp>()->weights}, 16, 16, false);
                 bound.tail_weights = t.weights, bound.tail_bias = t.bias;
                 bound.out = l->at(binding, l->op(tail).outputs[0], first);
               }
               return launch_conv(variant, resident, bound, shape, stream);
             }});
      }
    }
    return step;
  }

  [[nodiscard]] Step stem_step(int i) {
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

  /// Any convolution that has no tiled kernel.
  [[nodiscard]] Step plain_step(int i) {
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

  // --- fused runs ---------------------------------------------------------------------------------------------------
  bool bottleneck(int i) {
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
             const PackedWeights w2 = l->weights().conv({l->op(j).as<ConvOp>()->weights}, variant.channels,
                                                        variant.group2, variant.warpgroup);
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

  /// The dense 1×1 without activation that alone reads op i's output, or -1.
  [[nodiscard]] int tail_of(int i) const {
    if (op(i).outputs.size() != 1) return -1;
    const int j = only_reader(op(i).outputs[0]);
    if (j < 0 || !free_together(i, j)) return -1;
    const ConvOp* conv = dense(j, 1, 1);
    const bool plain = conv != nullptr && !silu(*conv) && !conv->residual && op(j).inputs.size() == 1;
    return plain && op(j).inputs[0] == op(i).outputs[0] && writable(op(j).outputs[0]) % 8 == 0 ? j : -1;
  }

  bool with_tail(int i) {
    const ConvOp* conv = dense(i, 3, 1);
    if (conv == nullptr || conv->residual) return false;
    const int j = tail_of(i);
    if (j < 0) return false;
    Step fused = conv_step(i, -1, j);
    if (fused.candidates.empty()) return false;
    add({i, j}, {{"fused", {std::move(fused)}}, {"apart", {step(i), step(j)}}});
    return true;
  }

  [[nodiscard]] Step depthwise_pointwise_step(int i, int j, int tail) {
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

  bool depthwise_pointwise(int i) {
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

  /// Two 1×1 convolutions of the same input, as C3k has them.
  bool siblings(int i) {
    const ConvOp* first = dense(i, 1, 1);
    if (first == nullptr || first->residual || first->weights->out % 32 != 0) return false;
    for (int j = i + 1; j < static_cast<int>(plan_->ops.size()); ++j) {
      const ConvOp* second = dense(j, 1, 1);
      if (second == nullptr || second->residual || second->weights->out % 32 != 0 || !free_together(i, j) ||
          op(j).inputs != op(i).inputs || second->activation != first->activation ||
          op(j).depends_on != op(i).depends_on)
        continue;
      Step merged = conv_step(i, j);
      if (merged.candidates.empty()) return false;
      add({i, j}, {{"merged", {std::move(merged)}}, {"apart", {step(i), step(j)}}});
      return true;
    }
    return false;
  }

  // --- single ops ---------------------------------------------------------------------------------------------------
  [[nodiscard]] Step step(int i) {
    const Op& o = op(i);
    if (const auto* conv = o.as<ConvOp>()) {
      const bool first = o.inputs.size() == 1 && buffer(o.inputs[0]).external;
      if (first && dense(i, 3, 2) != nullptr && o.inputs[0].channels == 3 && pitch(o.inputs[0]) == 4 &&
          !conv->residual && o.outputs[0].channels % 8 == 0)
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

  [[nodiscard]] Step pool_chain_step(int i, const graph::PoolChainOp& pool) {
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

  [[nodiscard]] Step max_pool_step(int i, const graph::MaxPoolOp& pool) {
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

  [[nodiscard]] Step attention_step(int i, const graph::AttentionOp& attention) {
    if (attention.key_dim != kAttentionKeyDim || attention.head_dim != kAttentionHeadDim ||
        attention.position->kernel_h != 3)
      throw ModelError("the attention at " + op(i).name + " has heads of " + std::to_string(attention.key_dim) +
                       " and " + std::to_string(attention.head_dim) + " channels; the CUDA kernel runs 32 and 64");
    Step step{"attention " + std::to_string(attention.heads), {}};
    for (const bool split : {true, false})
      step.candidates.push_back({split ? "split keys" : "whole",
                                 [l = layout_, attention, split, i](const Binding& binding, int first, int images,
                                                                    const LaunchShape& shape, cudaStream_t stream) {
                                   const View &in = l->op(i).inputs[0], &out = l->op(i).outputs[0];
                                   const FloatWeights w = l->weights().plain(*attention.position, true);
                                   AttentionArgs args;
                                   args.qkv = l->at(binding, in, first), args.qkv_pitch = l->pitch(in);
                                   args.out = l->at(binding, out, first), args.out_pitch = l->pitch(out);
                                   args.n = images, args.h = l->size(in).height, args.w = l->size(in).width;
                                   args.heads = attention.heads, args.scale = attention.scale;
                                   args.position = w.weights, args.position_bias = w.bias;
                                   return launch_attention(args, split, shape, stream);
                                 }});
    return step;
  }

  [[nodiscard]] Step merge_step(int i) {
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

  bool detect(int i) {
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
    add({i}, {{"", {step("decode", launch_decode), step("nms", launch_nms)}}});
    return true;
  }

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<const Layout> layout_;
  DeviceInfo device_;
  std::vector<bool> used_;
  std::vector<Group> groups_;
};

}  // namespace

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
  return Builder(std::move(plan), weights, device).build();
}

}  // namespace gantry::cuda
