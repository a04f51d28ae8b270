#include "gantry/engine/graph/executor.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <variant>

#include "engine/graph/packed_conv.hpp"
#include "engine/graph/quantized_conv.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

Plan in_float32(Plan plan, PlanOptions::Order order) {
  for (Buffer& buffer : plan.buffers) buffer.type = DataType::kFloat32;
  assign_arena(plan, order);
  return plan;
}

void round(const Map& map, const Quantizer& quantizer) {
  for (int y = 0; y < map.height; ++y)
    for (int x = 0; x < map.width; ++x)
      for (int c = 0; c < map.channels; ++c) map.at(y, x)[c] = quantizer(map.at(y, x)[c]);
}

}  // namespace

class CpuExecutor::Steps {
 public:
  explicit Steps(const Plan& plan) {
    for (const Op& op : plan.ops) {
      auto& step = convolutions_.emplace_back();
      const auto* conv = op.as<ConvOp>();
      if (conv == nullptr) continue;
      if (conv->input)
        step.emplace<QuantizedConv>(*conv);
      else
        step.emplace<PackedConv>(*conv);
    }
  }
  void convolve(std::size_t op, std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) const {
    if (const auto* in_8_bits = std::get_if<QuantizedConv>(&convolutions_[op]); in_8_bits != nullptr)
      in_8_bits->run(inputs, residual, out);
    else
      std::get<PackedConv>(convolutions_[op]).run(inputs, residual, out);
  }

 private:
  std::vector<std::variant<std::monostate, PackedConv, QuantizedConv>> convolutions_;  // nothing: another op
};

CpuExecutor::CpuExecutor(Plan plan, PlanOptions::Order order)
    : plan_(in_float32(std::move(plan), order)), steps_(std::make_unique<Steps>(plan_)) {}
CpuExecutor::~CpuExecutor() = default;

void CpuExecutor::run(std::span<const float> images_nchw, int batch, const Observer& observer) {
  const Buffer& input = plan_.buffers[static_cast<std::size_t>(plan_.input.buffer)];
  const std::size_t pixels = static_cast<std::size_t>(input.height) * static_cast<std::size_t>(input.width);
  GANTRY_EXPECTS(batch >= 1 && images_nchw.size() == static_cast<std::size_t>(batch) * 3 * pixels,
                 "images are [batch][3][height][width] of the plan's shape");
  batch_ = batch;
  constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();
  const auto pitch = static_cast<std::size_t>(input.pitch);
  input_.assign(static_cast<std::size_t>(batch) * pixels * pitch, kUnwritten);
  arena_.assign(plan_.arena_bytes(batch) / sizeof(float), kUnwritten);
  const auto rounded = [&](float value) { return input.quantizer ? (*input.quantizer)(value) : value; };
  for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < pixels; ++p)
        input_[(n * pixels + p) * pitch + c] = rounded(images_nchw[(n * 3 + c) * pixels + p]);

  for (const Segment& segment : plan_.segments) {
    const int step = segment.images(batch);
    for (int first = 0; first < batch; first += step)
      for (int i = segment.first_op; i < segment.first_op + segment.op_count; ++i)
        for (int image = first; image < std::min(batch, first + step); ++image) {
          run_op(static_cast<std::size_t>(i), image);
          if (observer) observer(i, image);
        }
  }
}

Map CpuExecutor::mutable_map(const View& view, int image) {
  const ConstMap found = map(view, image);
  return {const_cast<float*>(found.data), found.height, found.width, found.channels, found.pitch, found.upsample};
}

ConstMap CpuExecutor::map(const View& view, int image) const {
  GANTRY_EXPECTS(image >= 0 && image < batch_, "image " + std::to_string(image) + " is not in the batch");
  const Buffer& buffer = plan_.buffers[static_cast<std::size_t>(view.buffer)];
  const float* base = input_.data();
  int slot = image;
  if (!buffer.external) {
    base = arena_.data() + plan_.offset_of(view.buffer, batch_) / sizeof(float);
    if (buffer.segment >= 0) slot = image % plan_.segments[static_cast<std::size_t>(buffer.segment)].images(batch_);
  }
  base += static_cast<std::size_t>(slot) * buffer.bytes() / sizeof(float) + static_cast<std::size_t>(view.channel);
  return {base, buffer.height, buffer.width, view.channels, buffer.pitch, view.upsample};
}

void CpuExecutor::overwrite(const View& view, int image, const ConstMap& values) {
  const Map to = mutable_map(view, image);
  GANTRY_EXPECTS(values.height == to.height && values.width == to.width && values.channels == to.channels,
                 "the values' size differs from the view's");
  copy_reference(values, to);
}

void CpuExecutor::run_op(std::size_t index, int image) {
  const Op& op = plan_.ops[index];
  std::vector<ConstMap> in;
  std::vector<Map> out;
  for (const View& view : op.inputs) in.push_back(map(view, image));
  for (const View& view : op.outputs) out.push_back(mutable_map(view, image));
  if (const auto* conv = op.as<ConvOp>(); conv != nullptr) {
    const ConstMap residual = conv->residual ? map(*conv->residual, image) : ConstMap{};
    steps_->convolve(index, in, conv->residual ? &residual : nullptr, out.front());
  } else if (const auto* chain = op.as<PoolChainOp>(); chain != nullptr) {
    pool_chain_reference(*chain, in.front(), out);
  } else if (const auto* pool = op.as<MaxPoolOp>(); pool != nullptr) {
    max_pool_reference(*pool, in.front(), out.front());
  } else if (const auto* attention = op.as<AttentionOp>(); attention != nullptr) {
    attention_reference(*attention, in.front(), out.front());
  } else if (op.as<AddOp>() != nullptr) {
    add_reference(in.at(0), in.at(1), out.front());
  } else if (op.as<CopyOp>() != nullptr) {
    copy_reference(in.front(), out.front());
  }
  for (std::size_t i = 0; i < op.quantizers.size(); ++i)
    if (op.quantizers[i]) round(out[i], *op.quantizers[i]);
}

const DetectOp& CpuExecutor::detect() const {
  return std::get<DetectOp>(plan_.ops.back().params);
}

std::vector<ConstMap> CpuExecutor::head_maps(int image) const {
  std::vector<ConstMap> maps;
  for (const View& view : plan_.ops.back().inputs) maps.push_back(map(view, image));
  return maps;
}

Detections CpuExecutor::detections(int image, const vision::CandidateOptions& options,
                                   const vision::NmsOptions& nms) const {
  return detect_reference(detect(), head_maps(image), options, nms);
}

}  // namespace gantry::graph
