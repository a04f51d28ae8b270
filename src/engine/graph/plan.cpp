#include "gantry/engine/graph/plan.hpp"

#include <algorithm>
#include <array>

namespace gantry::graph {

const char* to_string(DataType type) noexcept {
  switch (type) {
    case DataType::kFloat32:
      return "fp32";
    case DataType::kFloat16:
      return "fp16";
    case DataType::kInt8:
      return "int8";
    case DataType::kFloat8E4M3:
      return "fp8";
  }
  return "?";
}

const char* to_string(BlockKind kind) noexcept {
  switch (kind) {
    case BlockKind::kStem:
      return "stem";
    case BlockKind::kBottleneck:
      return "bottleneck";
    case BlockKind::kDepthwisePointwise:
      return "dw+pw";
    case BlockKind::kAttention:
      return "attention";
    case BlockKind::kFeedForward:
      return "ffn";
  }
  return "?";
}

const char* kind_name(const Op& op) noexcept {
  if (const auto* conv = op.as<ConvOp>(); conv != nullptr) return conv->depthwise() ? "dwconv" : "conv";
  static constexpr std::array<const char*, 7> kNames{"conv", "pool_chain", "max_pool", "attention",
                                                     "add",  "copy",       "detect"};
  static_assert(std::variant_size_v<decltype(Op::params)> == kNames.size());
  return kNames[op.params.index()];
}

std::size_t Plan::arena_bytes(int batch) const noexcept {
  std::size_t local = 0;
  for (std::size_t i = 0; i < segments.size(); ++i)
    local = std::max(local, local_bytes[i] * static_cast<std::size_t>(segments[i].images(batch)));
  return crossing_bytes * static_cast<std::size_t>(batch) + local;
}

std::size_t Plan::offset_of(int buffer, int batch) const noexcept {
  const Buffer& b = buffers[static_cast<std::size_t>(buffer)];
  const auto images = static_cast<std::size_t>(batch);
  if (b.segment < 0) return b.offset * images;
  const Segment& segment = segments[static_cast<std::size_t>(b.segment)];
  return crossing_bytes * images + b.offset * static_cast<std::size_t>(segment.images(batch));
}

std::size_t Plan::sum_of_buffers() const noexcept {
  std::size_t sum = 0;
  for (const Buffer& buffer : buffers)
    if (!buffer.external) sum += buffer.bytes();
  return sum;
}

}  // namespace gantry::graph
