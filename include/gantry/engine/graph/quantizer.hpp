#pragma once
// Numbers in 8 bits, as ONNX's QuantizeLinear and DequantizeLinear define them. Plain data.
#include <cstdint>
#include <vector>

namespace gantry::graph {

/// Values of a tensor: q = clamp(round_half_even(x / scale) + zero_point, lowest, highest).
struct Quantizer {
  float scale = 1;  ///< > 0
  int zero_point = 0;
  int lowest = 0, highest = 255;  ///< of unsigned bytes; -128, 127 of signed ones

  [[nodiscard]] int quantize(float value) const noexcept;
  [[nodiscard]] float dequantize(int step) const noexcept { return static_cast<float>(step - zero_point) * scale; }
  [[nodiscard]] float operator()(float value) const noexcept { return dequantize(quantize(value)); }
  friend bool operator==(const Quantizer&, const Quantizer&) = default;
};

/// A constant in symmetric signed bytes: a value is its step times the scale of its slice along dimension 0.
struct QuantizedConstant {
  std::vector<std::int8_t> steps;
  std::vector<float> scales;
};

}  // namespace gantry::graph
