#include "engine/graph/quantized_conv.hpp"

#include <cmath>

#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

/// Steps less the zero point, with the convolution's border of zeros around them.
struct PaddedSteps {
  int width = 0, channels = 0;
  std::vector<std::int16_t> values;
  [[nodiscard]] std::int16_t* at(int y, int x) noexcept {
    return values.data() + (std::ptrdiff_t{y} * width + x) * channels;
  }
  [[nodiscard]] const std::int16_t* at(int y, int x) const noexcept {
    return values.data() + (std::ptrdiff_t{y} * width + x) * channels;
  }
};

PaddedSteps gather(std::span<const ConstMap> inputs, const Quantizer& quantizer, int pad) {
  PaddedSteps steps;
  for (const ConstMap& in : inputs) steps.channels += in.channels;
  const int height = inputs.front().height * inputs.front().upsample;
  const int width = inputs.front().width * inputs.front().upsample;
  steps.width = width + 2 * pad;
  steps.values.assign(static_cast<std::size_t>(height + 2 * pad) * static_cast<std::size_t>(steps.width) *
                          static_cast<std::size_t>(steps.channels),
                      0);
  int first = 0;
  for (const ConstMap& in : inputs) {
    GANTRY_EXPECTS(in.height * in.upsample == height && in.width * in.upsample == width, "inputs of one size");
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const float* from = in.at(y / in.upsample, x / in.upsample);
        std::int16_t* to = steps.at(y + pad, x + pad) + first;
        for (int c = 0; c < in.channels; ++c)
          to[c] = static_cast<std::int16_t>(quantizer.quantize(from[c]) - quantizer.zero_point);
      }
    first += in.channels;
  }
  return steps;
}

std::int32_t dot(const std::int16_t* a, const std::int16_t* b, int count) {
  std::int32_t sum = 0;  // at most 255 * 127 * 2^16 terms fit
  for (int i = 0; i < count; ++i) sum += std::int32_t{a[i]} * b[i];
  return sum;
}

}  // namespace

QuantizedConv::QuantizedConv(const ConvOp& op) : op_(op), weights_(op.weights->steps.begin(), op.weights->steps.end()) {
  GANTRY_EXPECTS(op.input && !weights_.empty(), "8-bit inputs and weights");
  for (const float scale : op.weights->scales) scales_.push_back(scale * op.input->scale);
}

void QuantizedConv::run(std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) const {
  const Weights& w = *op_.weights;
  const PaddedSteps in = gather(inputs, *op_.input, op_.pad);
  GANTRY_EXPECTS(in.channels == w.in * op_.groups && out.channels == w.out, "channels don't fit the weights");
  GANTRY_EXPECTS((in.width - w.kernel_w) / op_.stride + 1 == out.width, "the output's size doesn't follow");
  GANTRY_EXPECTS((residual != nullptr) == op_.residual.has_value(), "pass the residual exactly where the op has one");
  const int row = w.kernel_w * w.in;
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      float* to = out.at(y, x);
      for (int o = 0; o < w.out; ++o) {
        const std::int16_t* weights = weights_.data() + std::ptrdiff_t{o} * w.kernel_h * row;
        std::int32_t sum = 0;
        for (int ky = 0; ky < w.kernel_h; ++ky) {
          const std::int16_t* from = in.at(y * op_.stride + ky, x * op_.stride);
          if (!op_.depthwise()) {
            sum += dot(from, weights + std::ptrdiff_t{ky} * row, row);
            continue;
          }
          for (int kx = 0; kx < w.kernel_w; ++kx)
            sum += std::int32_t{from[std::ptrdiff_t{kx} * in.channels + o]} * weights[ky * row + kx];
        }
        const auto channel = static_cast<std::size_t>(o);
        float value = static_cast<float>(sum) * scales_[channel] + w.bias[channel];
        if (op_.activation == Activation::kSilu) value *= 1.0F / (1.0F + std::exp(-value));
        to[o] = residual == nullptr ? value : value + residual->at(y, x)[o];
      }
    }
}

}  // namespace gantry::graph
