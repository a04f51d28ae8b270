#include "gantry/engine/graph/cost.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace gantry::graph {
namespace {

const Buffer& buffer_of(const Plan& plan, const View& view) {
  return plan.buffers[static_cast<std::size_t>(view.buffer)];
}

double view_bytes(const Plan& plan, const View& view) {
  const Buffer& buffer = buffer_of(plan, view);
  return static_cast<double>(buffer.height) * buffer.width * view.channels * static_cast<double>(size_of(buffer.type));
}

double weight_bytes(const Weights& weights, double element) {
  return static_cast<double>(weights.values.size()) * element +
         static_cast<double>(weights.bias.size()) * sizeof(float);
}

/// The path that names a head's branch or a module: "model.4", "model.23/cv2.0".
std::string unit_of(const Op& op) {
  const std::size_t start = op.module.size() + 2;
  const bool branch = op.name.compare(0, 1, "/") == 0 && op.name.size() > start &&
                      (op.name.compare(start, 4, "cv2.") == 0 || op.name.compare(start, 4, "cv3.") == 0) &&
                      op.name.find('/', start) != std::string::npos;
  return branch ? op.name.substr(0, op.name.find('/', start)) : op.module;
}

}  // namespace

Cost& Cost::operator+=(const Cost& other) noexcept {
  map_bytes += other.map_bytes;
  weight_bytes += other.weight_bytes;
  flops += other.flops;
  convolutions += other.convolutions;
  return *this;
}

Cost cost_of(const Plan& plan, const Op& op) {
  Cost cost;
  for (const View& view : op.inputs) cost.map_bytes += view_bytes(plan, view);
  for (const View& view : op.outputs) cost.map_bytes += view_bytes(plan, view);
  const double element = op.outputs.empty() ? 4 : static_cast<double>(size_of(buffer_of(plan, op.outputs[0]).type));
  const MapSize out = size_of(plan, op.outputs.empty() ? op.inputs[0] : op.outputs[0]);
  const double pixels = static_cast<double>(out.height) * out.width;
  const auto convolve = [&](const Weights& weights) {
    cost.weight_bytes += weight_bytes(weights, element);
    cost.flops += 2 * pixels * static_cast<double>(weights.values.size());
    ++cost.convolutions;
  };
  if (const auto* conv = op.as<ConvOp>(); conv != nullptr) {
    convolve(*conv->weights);
    if (conv->residual) cost.map_bytes += view_bytes(plan, *conv->residual);
  } else if (const auto* attention = op.as<AttentionOp>(); attention != nullptr) {
    convolve(*attention->position);
    cost.flops += 2 * pixels * pixels * attention->heads * (attention->key_dim + attention->head_dim);
  }
  return cost;
}

Cost cost_by_module(const Plan& plan) {
  std::vector<std::string> units;
  for (const Op& op : plan.ops) units.push_back(op.module.empty() ? op.name : unit_of(op));
  // For each unit, the channels of each buffer that it writes and reads, as sets of (buffer, channel).
  using Channels = std::set<std::pair<int, int>>;
  std::map<std::string, std::pair<Channels, Channels>> touched;
  std::map<std::pair<int, int>, std::set<std::string>> readers;
  const auto each_channel = [](const View& view, const auto& f) {
    for (int c = view.channel; c < view.channel + view.channels; ++c) f(std::pair{view.buffer, c});
  };
  Cost total;
  for (std::size_t i = 0; i < plan.ops.size(); ++i) {
    const Op& op = plan.ops[i];
    const Cost own = cost_of(plan, op);
    total += {0, own.weight_bytes, own.flops, own.convolutions};
    auto& [written, read] = touched[units[i]];
    std::vector<View> inputs = op.inputs;
    if (const auto* conv = op.as<ConvOp>(); conv != nullptr && conv->residual) inputs.push_back(*conv->residual);
    for (const View& view : inputs)
      each_channel(view, [&, r = &read](std::pair<int, int> channel) {
        r->insert(channel);
        readers[channel].insert(units[i]);
      });
    for (const View& view : op.outputs)
      each_channel(view, [w = &written](std::pair<int, int> channel) { w->insert(channel); });
  }
  const auto bytes = [&](std::pair<int, int> channel) {
    return view_bytes(plan, {channel.first, channel.second, 1, 1});
  };
  for (const auto& [unit, channels] : touched) {
    const auto& [written, read] = channels;
    for (const auto& channel : read)
      if (!written.contains(channel)) total.map_bytes += bytes(channel);
    for (const auto& channel : written) {
      const auto& who = readers[channel];
      if (who.size() > who.count(unit)) total.map_bytes += bytes(channel);
    }
  }
  return total;
}

double floor_seconds(const Cost& cost, const Card& card, int batch) noexcept {
  const double bytes = cost.map_bytes * batch + cost.weight_bytes;
  return std::max(bytes / card.bytes_per_second, cost.flops * batch / card.flops_per_second);
}

}  // namespace gantry::graph
