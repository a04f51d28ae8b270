#include "precision/weights.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/core/expects.hpp"

namespace gantry::precision {
namespace {

constexpr float kSteps = 127;

float best_scale(std::span<const float> row) {
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  if (largest == 0) return 1;
  float best = largest / kSteps;
  double least = -1;
  for (int percent = 100; percent >= 60; percent -= 2) {
    const float scale = largest * static_cast<float>(percent) / 100 / kSteps;
    double cost = 0;
    for (const float value : row) {
      const float step = std::clamp(std::nearbyint(value / scale), -kSteps, kSteps);
      cost += static_cast<double>(value - step * scale) * static_cast<double>(value - step * scale);
    }
    if (least >= 0 && cost >= least) continue;
    least = cost;
    best = scale;
  }
  return best;
}

}  // namespace

graph::Tensor QuantizedWeights::dequantized() const {
  graph::Tensor tensor = graph::Tensor::zeros(dims, true);
  const std::size_t row = values.size() / scales.size();
  for (std::size_t i = 0; i < values.size(); ++i) tensor.floats()[i] = static_cast<float>(values[i]) * scales[i / row];
  return tensor;
}

QuantizedWeights quantize_weights(const graph::Tensor& weights) {
  QuantizedWeights result{weights.dims, {}, {}};
  const auto out = static_cast<std::size_t>(weights.dims[0]);
  const std::size_t row = weights.floats().size() / out;
  result.values.reserve(weights.floats().size());
  for (std::size_t o = 0; o < out; ++o) {
    const std::span<const float> values{weights.floats().data() + o * row, row};
    const float scale = best_scale(values);
    result.scales.push_back(scale);
    for (const float value : values)
      result.values.push_back(static_cast<std::int8_t>(std::clamp(std::nearbyint(value / scale), -kSteps, kSteps)));
  }
  return result;
}

std::vector<float> mean_shift(const graph::Tensor& weights, const QuantizedWeights& quantized,
                              std::span<const double> input_means) {
  const auto out = static_cast<std::size_t>(weights.dims[0]);
  const auto in = static_cast<std::size_t>(weights.dims[1]);  // a group
  const auto taps = static_cast<std::size_t>(weights.dims[2] * weights.dims[3]);
  GANTRY_EXPECTS(input_means.size() % in == 0, "means of every input channel");
  const std::size_t groups = input_means.size() / in;
  const std::size_t out_a_group = out / groups;
  const graph::Tensor rounded = quantized.dequantized();
  std::vector<float> shift(out);
  for (std::size_t o = 0; o < out; ++o) {
    double sum = 0;
    for (std::size_t i = 0; i < in; ++i) {
      double change = 0;
      for (std::size_t t = 0; t < taps; ++t) {
        const std::size_t at = (o * in + i) * taps + t;
        change += static_cast<double>(rounded.floats()[at]) - static_cast<double>(weights.floats()[at]);
      }
      sum += change * input_means[o / out_a_group * in + i];
    }
    shift[o] = static_cast<float>(sum);
  }
  return shift;
}

}  // namespace gantry::precision
