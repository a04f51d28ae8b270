#pragma once
// From a float32 detector to an 8-bit one that still finds what the float one finds: post-training quantisation with
// the user's own pictures, and a gate in front of the result.
//
// Convolutions get 8-bit weights (symmetric, a scale an output channel, least squared error, corrected bias) and 8-bit
// inputs (one quantiser for all tensors that are joined). SiLU stands between all of YOLO's convolutions and is not
// homogeneous, so scales can't be moved from one layer into the next: channel equalisation has no place here. Products
// of attention stay in float.
//
// Everything is deterministic: the same files and options give the same bytes, on any number of threads.
#include <functional>
#include <string>
#include <vector>

#include "gantry/engine/graph/model.hpp"
#include "gantry/precision/samples.hpp"

namespace gantry::precision {

struct QuantizeOptions {
  /// Write signed bytes around 0 (all that TensorRT reads) instead of unsigned ones with a zero point.
  bool symmetric = false;
  double min_retention = 0.99;  ///< 0…1
  std::function<void(const std::string& step, double share)>
      progress;  ///< share of the step that is done; may be empty
};

/// One convolution in the report.
struct LayerReport {
  std::string node;
  bool in_8_bits = true;
  double error =
      0;  ///< of the head's maps (relative, squared, weighted by probability) where this layer alone is quantised
  double flops = 0;    ///< an image
  float scale = 1;     ///< of its input
  int zero_point = 0;  ///< of its input
};

/// One criterion for ranges, tried on pictures that were not calibrated with.
struct TriedClipping {
  std::string clipping;
  bool bias_corrected = false;
  double error = 0;  ///< of the head's maps, everything quantised
};

struct Measured {
  double retention = 0;  ///< quantised over float
  double float_score = 0, quantized_score = 0;
};

struct QuantizeResult {
  std::string onnx;  ///< the file's bytes
  std::vector<LayerReport> layers;
  std::vector<TriedClipping> tried;  ///< the first is the one that was used
  Measured measured;
  bool passed = false;  ///< measured.retention reached min_retention
  int attempts = 0;     ///< files that the gate has measured
};

/// Scores a quantised file (given as the bytes that the CPU back end reads) against the float model.
using Gate = std::function<Measured(const std::string& onnx_bytes)>;

/// The samples that quantize() keeps from calibration, to judge by: every eighth.
[[nodiscard]] std::vector<std::size_t> held_out(const Samples& samples);

/// `model` and `onnx_bytes` are the same float file. Layers go back to float, those first that do most harm for their
/// arithmetic, until the gate holds; then as many as it allows return to 8 bits.
/// @throws ModelError: quantised already, opset too old; StartupError: useless samples
[[nodiscard]] QuantizeResult quantize(const graph::Model& model, std::string_view onnx_bytes, const Samples& samples,
                                      const QuantizeOptions& options, const Gate& gate);

}  // namespace gantry::precision
