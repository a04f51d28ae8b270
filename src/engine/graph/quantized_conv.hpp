#pragma once
// A convolution of bytes with bytes, summed exactly in 32-bit integers.
#include <cstdint>
#include <span>
#include <vector>

#include "gantry/engine/graph/reference.hpp"

namespace gantry::graph {

/// The op that ConvOp::input describes. Thread-safe.
class QuantizedConv {
 public:
  /// @pre op.input is set and op.weights has steps
  explicit QuantizedConv(const ConvOp& op);
  /// act(conv(inputs) + bias) + residual, not yet rounded. The maps hold the values of steps: anything else is rounded
  /// to the nearest first.
  void run(std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) const;

 private:
  ConvOp op_;
  std::vector<std::int16_t> weights_;  ///< [out][kernel_h][kernel_w][in]
  std::vector<float> scales_;          ///< [out], the input's scale included
};

}  // namespace gantry::graph
