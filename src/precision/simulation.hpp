#pragma once
// A quantised network as 8-bit arithmetic computes it, run in float: weights and values are rounded to their steps,
// sums are exact. What the file will say and what a back end will answer, but for the order of summation.
#include <memory>
#include <vector>

#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/precision/samples.hpp"
#include "precision/clipping.hpp"
#include "precision/scheme.hpp"
#include "precision/weights.hpp"

namespace gantry::precision {

struct LayerParameters {
  QuantizedWeights weights;
  std::vector<float> bias;  ///< corrected; empty: as it was
};

/// Everything that quantisation decides.
struct Quantization {
  std::vector<Quantizer> groups;        ///< by Scheme's groups
  std::vector<LayerParameters> layers;  ///< by Scheme's layers
  std::vector<bool> in_8_bits;          ///< by Scheme's layers; the others keep their float weights

  /// Whether a tensor of the scheme is rounded: some 8-bit layer reads it.
  [[nodiscard]] std::vector<bool> active_tensors(const Scheme& scheme) const;
};

/// Thread-safe. The arguments outlive it.
class Simulation {
 public:
  Simulation(const graph::Graph& raw, const Scheme& scheme, const Quantization& quantization);
  /// The head's raw maps.
  [[nodiscard]] std::vector<graph::Tensor> run(const graph::Tensor& input) const;

 private:
  std::unique_ptr<graph::Interpreter> network_;
  std::unordered_map<std::string, Quantizer> quantizers_;
};

/// How far the head's raw maps are from the float run's, where it matters: squared differences of the class
/// probabilities over their squares, and of the boxes over theirs, each cell weighted by its best class's probability;
/// mean of the two. Maps as Head::tensors() orders them: boxes of all levels, then classes of all levels.
[[nodiscard]] double answer_error(const std::vector<graph::Tensor>& expected, const std::vector<graph::Tensor>& found);

/// Mean answer_error() of a quantisation over some samples, whose float answers are `expected`, one a sample.
[[nodiscard]] double output_error(const graph::Graph& raw, const Scheme& scheme, const Quantization& quantization,
                                  const Samples& samples, const std::vector<std::size_t>& indices,
                                  const std::vector<std::vector<graph::Tensor>>& expected);

}  // namespace gantry::precision
