#include "gantry/engine/graph/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/graph/packed_conv.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {

void conv_reference(const ConvOp& op, std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) {
  PackedConv(op).run(inputs, residual, out);
}

void max_pool_reference(const MaxPoolOp& op, const ConstMap& in, const Map& out) {
  for (int oy = 0; oy < out.height; ++oy)
    for (int ox = 0; ox < out.width; ++ox) {
      float* pixel = out.at(oy, ox);
      std::fill_n(pixel, out.channels, -std::numeric_limits<float>::infinity());
      for (int y = std::max(0, oy * op.stride - op.pad); y < std::min(in.height, oy * op.stride - op.pad + op.kernel);
           ++y)
        for (int x = std::max(0, ox * op.stride - op.pad); x < std::min(in.width, ox * op.stride - op.pad + op.kernel);
             ++x) {
          const float* from = in.at(y, x);
          for (int c = 0; c < out.channels; ++c) pixel[c] = std::max(pixel[c], from[c]);
        }
    }
}

void pool_chain_reference(const PoolChainOp& op, const ConstMap& in, std::span<const Map> outputs) {
  GANTRY_EXPECTS(static_cast<int>(outputs.size()) == op.stages, "one output a stage");
  ConstMap from = in;
  for (const Map& out : outputs) {
    max_pool_reference({op.kernel, 1, op.kernel / 2}, from, out);
    from = out;
  }
}

void attention_reference(const AttentionOp& op, const ConstMap& in, const Map& out) {
  const int pixels = in.height * in.width;
  const int per_head = 2 * op.key_dim + op.head_dim;
  GANTRY_EXPECTS(in.channels == op.heads * per_head && out.channels == op.heads * op.head_dim && in.upsample == 1,
                 "channels don't fit the heads");
  ConvOp position;
  position.weights = op.position;
  position.groups = out.channels;
  position.pad = op.position->kernel_h / 2;
  std::vector<float> weight(static_cast<std::size_t>(pixels));
  std::vector<float> values(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(out.channels));
  const Map v{values.data(), in.height, in.width, out.channels, out.channels, 1};
  for (int p = 0; p < pixels; ++p)
    for (int h = 0; h < op.heads; ++h)
      std::copy_n(in.data + p * in.pitch + h * per_head + 2 * op.key_dim, op.head_dim,
                  v.data + p * v.pitch + h * op.head_dim);
  std::vector<float> rounded;
  if (op.position_input)
    for (const float value : values) rounded.push_back((*op.position_input)(value));
  const ConstMap v_read{
      op.position_input ? rounded.data() : values.data(), in.height, in.width, v.channels, v.pitch, 1};
  conv_reference(position, {&v_read, 1}, nullptr, out);
  std::vector<float> sum(static_cast<std::size_t>(op.head_dim));
  for (int h = 0; h < op.heads; ++h) {
    const float* heads = in.data + h * per_head;
    for (int p = 0; p < pixels; ++p) {
      const float* q = heads + p * in.pitch;
      float top = -std::numeric_limits<float>::infinity();
      for (int j = 0; j < pixels; ++j) {
        const float* k = heads + j * in.pitch + op.key_dim;
        float dot = 0;
        for (int d = 0; d < op.key_dim; ++d) dot += q[d] * k[d];
        weight[static_cast<std::size_t>(j)] = dot * op.scale;
        top = std::max(top, dot * op.scale);
      }
      float total = 0;
      for (float& w : weight) total += w = std::exp(w - top);
      std::fill(sum.begin(), sum.end(), 0.0F);
      for (int j = 0; j < pixels; ++j) {
        const float* from = v.data + j * v.pitch + h * op.head_dim;
        const float w = weight[static_cast<std::size_t>(j)];
        for (int d = 0; d < op.head_dim; ++d) sum[static_cast<std::size_t>(d)] += w * from[d];
      }
      float* to = out.data + p * out.pitch + h * op.head_dim;
      for (int d = 0; d < op.head_dim; ++d) to[d] += sum[static_cast<std::size_t>(d)] / total;
    }
  }
}

void add_reference(const ConstMap& a, const ConstMap& b, const Map& out) {
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      for (int c = 0; c < out.channels; ++c) out.at(y, x)[c] = a.at(y, x)[c] + b.at(y, x)[c];
}

void copy_reference(const ConstMap& in, const Map& out) {
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      std::copy_n(in.at(y / in.upsample, x / in.upsample), out.channels, out.at(y, x));
}

void decode_reference(const DetectOp& op, std::span<const ConstMap> maps, const vision::CandidateOptions& options,
                      std::vector<Detection>& out) {
  GANTRY_EXPECTS(op.bins == vision::kDistanceBins && maps.size() == 2 * op.strides.size(), "maps don't fit the head");
  // vision decodes planes.
  const auto planes_of = [](const ConstMap& map) {
    std::vector<float> planes;
    planes.reserve(static_cast<std::size_t>(map.channels) * static_cast<std::size_t>(map.height * map.width));
    for (int c = 0; c < map.channels; ++c)
      for (int p = 0; p < map.height * map.width; ++p) planes.push_back(map.data[p * map.pitch + c]);
    return planes;
  };
  const std::size_t count = op.strides.size();
  std::vector<std::vector<float>> planes;
  for (const ConstMap& map : maps) planes.push_back(planes_of(map));
  std::vector<vision::HeadLevel> levels;
  for (std::size_t i = 0; i < count; ++i)
    levels.push_back({planes[i].data(), planes[i + count].data(), maps[i].width, maps[i].height, op.strides[i]});
  vision::decode_maps_reference(levels, op.classes, options, out);
}

Detections detect_reference(const DetectOp& op, std::span<const ConstMap> maps, const vision::CandidateOptions& options,
                            const vision::NmsOptions& nms) {
  std::vector<Detection> candidates;
  decode_reference(op, maps, options, candidates);
  Detections kept;
  vision::Suppressor().run(candidates, nms, kept);
  return kept;
}

}  // namespace gantry::graph
