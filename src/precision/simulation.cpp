#include "precision/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gantry/core/expects.hpp"

#include "precision/parallel.hpp"

namespace gantry::precision {
namespace {

/// A sum of squared differences over a sum of squares.
struct Ratio {
  double difference = 0;
  double size = 1e-12;
  void add(double expected, double found, double weight = 1) noexcept {
    difference += weight * (found - expected) * (found - expected);
    size += weight * expected * expected;
  }
  [[nodiscard]] double value() const noexcept { return difference / size; }
};

double sigmoid(float x) {
  return 1 / (1 + std::exp(-static_cast<double>(x)));
}

/// Adds the class probabilities of a level; returns each cell's best by the float run.
std::vector<double> compare_classes(const graph::Tensor& expected, const graph::Tensor& found, Ratio& ratio) {
  const auto cells = static_cast<std::size_t>(expected.dims[2] * expected.dims[3]);
  std::vector<double> best(cells, 0);
  for (std::size_t i = 0; i < expected.floats().size(); ++i) {
    const double probability = sigmoid(expected.floats()[i]);
    ratio.add(probability, sigmoid(found.floats()[i]));
    best[i % cells] = std::max(best[i % cells], probability);
  }
  return best;
}

void compare_boxes(const graph::Tensor& expected, const graph::Tensor& found, const std::vector<double>& weights,
                   Ratio& ratio) {
  for (std::size_t i = 0; i < expected.floats().size(); ++i)
    ratio.add(static_cast<double>(expected.floats()[i]), static_cast<double>(found.floats()[i]),
              weights[i % weights.size()]);
}

}  // namespace

std::vector<bool> Quantization::active_tensors(const Scheme& scheme) const {
  std::vector<bool> active(scheme.tensors.size(), false);
  for (std::size_t i = 0; i < scheme.layers.size(); ++i) {
    if (!in_8_bits[i]) continue;
    for (const int tensor : scheme.layers[i].tensors) active[static_cast<std::size_t>(tensor)] = true;
  }
  return active;
}

Simulation::Simulation(const graph::Graph& raw, const Scheme& scheme, const Quantization& quantization) {
  const std::vector<bool> active = quantization.active_tensors(scheme);
  for (std::size_t i = 0; i < active.size(); ++i)
    if (active[i]) quantizers_[scheme.tensors[i]] = quantization.groups[static_cast<std::size_t>(scheme.group_of[i])];

  graph::Graph rounded = raw;
  std::unordered_map<std::string, std::size_t> layer_of;
  for (std::size_t i = 0; i < scheme.layers.size(); ++i)
    if (quantization.in_8_bits[i]) layer_of[scheme.layers[i].node] = i;
  for (graph::Node& node : rounded.nodes) {
    const auto layer = layer_of.find(node.name);
    if (layer == layer_of.end()) continue;
    // Under names of their own: layers may share constants and be rounded apart.
    const LayerParameters& parameters = quantization.layers[layer->second];
    node.inputs[1] = "rounded weights of " + node.name;
    rounded.constants[node.inputs[1]] = std::make_shared<const graph::Tensor>(parameters.weights.dequantized());
    if (parameters.bias.empty()) continue;
    const auto size = static_cast<std::int64_t>(parameters.bias.size());
    node.inputs[2] = "corrected bias of " + node.name;
    rounded.constants[node.inputs[2]] = std::make_shared<const graph::Tensor>(graph::Tensor{{size}, parameters.bias});
  }
  network_ = std::make_unique<graph::Interpreter>(std::move(rounded));
}

std::vector<graph::Tensor> Simulation::run(const graph::Tensor& input) const {
  return network_->run(input, [this](const graph::Node&, const std::string& tensor, graph::Tensor& value) {
    const auto quantizer = quantizers_.find(tensor);
    if (quantizer == quantizers_.end()) return;
    for (float& v : value.floats()) v = quantizer->second(v);
  });
}

double answer_error(const std::vector<graph::Tensor>& expected, const std::vector<graph::Tensor>& found) {
  GANTRY_EXPECTS(expected.size() == found.size() && expected.size() % 2 == 0, "boxes and classes of every level");
  const std::size_t levels = expected.size() / 2;
  Ratio boxes;
  Ratio classes;
  for (std::size_t level = 0; level < levels; ++level) {
    const std::vector<double> weights = compare_classes(expected[levels + level], found[levels + level], classes);
    compare_boxes(expected[level], found[level], weights, boxes);
  }
  return (boxes.value() + classes.value()) / 2;
}

double output_error(const graph::Graph& raw, const Scheme& scheme, const Quantization& quantization,
                    const Samples& samples, const std::vector<std::size_t>& indices,
                    const std::vector<std::vector<graph::Tensor>>& expected) {
  const Simulation simulation(raw, scheme, quantization);
  std::vector<double> errors(indices.size());
  for_each_index(indices.size(), [&](std::size_t i) {
    errors[i] = answer_error(expected[i], simulation.run(as_input(samples, indices[i])));
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
}

}  // namespace gantry::precision
