#include "precision/simulation.hpp"

#include <numeric>

#include "precision/parallel.hpp"

namespace gantry::precision {

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

double relative_error(const std::vector<graph::Tensor>& expected, const std::vector<graph::Tensor>& found) {
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double difference = 0;
    double size = 1e-12;
    for (std::size_t k = 0; k < expected[i].floats().size(); ++k) {
      const double e = static_cast<double>(expected[i].floats()[k]);
      const double d = static_cast<double>(found[i].floats()[k]) - e;
      difference += d * d;
      size += e * e;
    }
    sum += difference / size;
  }
  return sum / static_cast<double>(expected.size());
}

double output_error(const graph::Graph& raw, const Scheme& scheme, const Quantization& quantization,
                    const Samples& samples, const std::vector<std::size_t>& indices,
                    const std::vector<std::vector<graph::Tensor>>& expected) {
  const Simulation simulation(raw, scheme, quantization);
  std::vector<double> errors(indices.size());
  for_each_index(indices.size(), [&](std::size_t i) {
    errors[i] = relative_error(expected[i], simulation.run(as_input(samples, indices[i])));
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
}

}  // namespace gantry::precision
