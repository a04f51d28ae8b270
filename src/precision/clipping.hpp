#pragma once
// From a histogram to a quantiser: which range 256 steps should cover. Pure functions.
#include <array>
#include <cstdint>

#include "gantry/engine/graph/quantizer.hpp"
#include "precision/histogram.hpp"

namespace gantry::precision {

/// How 8-bit activations are written. Weights are symmetric signed bytes in both.
enum class Encoding : std::uint8_t {
  kAffine,     ///< unsigned bytes with a zero point: no step is wasted on values that SiLU never gives
  kSymmetric,  ///< signed bytes around 0, the only form that TensorRT reads
};

/// Criteria for the range, all of them tried; which is used is decided by the network's own error.
enum class Clipping : std::uint8_t {
  kNone,        ///< everything that was seen
  kMse,         ///< least mean squared error of the tensor
  kPercentile,  ///< the middle 99.99 % of the values
  kEntropy,     ///< least Kullback-Leibler divergence (Migacz, "8-bit inference with TensorRT", GTC 2017)
};
inline constexpr std::array kClippings{Clipping::kNone, Clipping::kMse, Clipping::kPercentile, Clipping::kEntropy};
[[nodiscard]] const char* to_string(Clipping clipping) noexcept;
[[nodiscard]] const char* to_string(Encoding encoding) noexcept;

using graph::Quantizer;

/// The quantiser whose range is [low, high], widened to hold 0.
[[nodiscard]] Quantizer make_quantizer(double low, double high, Encoding encoding) noexcept;

/// @pre !histogram.empty()
[[nodiscard]] Quantizer choose_quantizer(const Histogram& histogram, Clipping clipping, Encoding encoding);

}  // namespace gantry::precision
