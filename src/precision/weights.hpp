#pragma once
// 8-bit weights of one convolution. Pure functions.
#include <cstdint>
#include <span>
#include <vector>

#include "gantry/engine/graph/graph.hpp"

namespace gantry::precision {

struct QuantizedWeights {
  graph::Dims dims;                 ///< [out][in / groups][height][width]
  std::vector<std::int8_t> values;  ///< -127…127
  std::vector<float> scales;        ///< one an output channel

  [[nodiscard]] graph::Tensor dequantized() const;
};

/// Symmetric, a scale an output channel, each scale the one of least squared error.
[[nodiscard]] QuantizedWeights quantize_weights(const graph::Tensor& weights);

/// By how much the quantised weights shift the mean of each output channel where the input's channels have these means
/// (Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019, section 4.2).
/// Border pixels count like inner ones.
[[nodiscard]] std::vector<float> mean_shift(const graph::Tensor& weights, const QuantizedWeights& quantized,
                                            std::span<const double> input_means);

}  // namespace gantry::precision
