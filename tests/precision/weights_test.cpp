#include "precision/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gantry::precision {
namespace {

graph::Tensor noise(const graph::Dims& dims) {
  graph::Tensor tensor = graph::Tensor::zeros(dims, true);
  std::mt19937 random(5);
  std::normal_distribution<float> draw(0, 0.3F);
  for (float& value : tensor.floats()) value = draw(random);
  return tensor;
}

TEST(Weights, RoundWithinAStepOfTheirChannel) {
  graph::Tensor weights = noise({4, 3, 3, 3});
  for (std::size_t i = 0; i < 27; ++i) weights.floats()[i] *= 1000;  // the first channel, far from the others
  const QuantizedWeights quantized = quantize_weights(weights);
  const graph::Tensor rounded = quantized.dequantized();
  ASSERT_EQ(quantized.scales.size(), 4U);
  EXPECT_GT(quantized.scales[0], 100 * quantized.scales[1]);
  std::size_t beyond_half = 0;
  for (std::size_t i = 0; i < rounded.floats().size(); ++i)
    if (std::abs(rounded.floats()[i] - weights.floats()[i]) > 0.5001F * quantized.scales[i / 27]) ++beyond_half;
  EXPECT_LE(beyond_half, 4U) << "only what lies beyond a clipped range may round by more than half a step";
}

TEST(Weights, AChannelOfZerosStaysZero) {
  const QuantizedWeights quantized = quantize_weights(graph::Tensor::zeros({2, 1, 1, 1}, true));
  EXPECT_EQ(quantized.values, (std::vector<std::int8_t>{0, 0}));
  EXPECT_GT(quantized.scales[0], 0);
}

/// With constant channels there is no border and no variance: the shift is exact.
TEST(Weights, MeanShiftIsWhatAConstantInputGives) {
  const graph::Tensor weights = noise({6, 2, 1, 1});  // three groups of two inputs
  const QuantizedWeights quantized = quantize_weights(weights);
  const std::vector<double> means{1, 2, 3, 4, 5, 6};
  const auto shift = mean_shift(weights, quantized, means);
  const graph::Tensor rounded = quantized.dequantized();
  for (std::size_t o = 0; o < 6; ++o) {
    double expected = 0;
    for (std::size_t i = 0; i < 2; ++i)
      expected +=
          (static_cast<double>(rounded.floats()[o * 2 + i]) - static_cast<double>(weights.floats()[o * 2 + i])) *
          means[o / 2 * 2 + i];
    EXPECT_NEAR(shift[o], expected, 1e-6) << "channel " << o;
  }
}

}  // namespace
}  // namespace gantry::precision
