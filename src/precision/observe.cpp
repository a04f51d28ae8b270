#include "precision/observe.hpp"

#include <memory>
#include <mutex>
#include <numeric>
#include <set>

#include "precision/parallel.hpp"

namespace gantry::precision {
namespace {

std::vector<double> means_of(const graph::Tensor& value) {
  const auto channels = static_cast<std::size_t>(value.dims[1]);
  const std::size_t area = value.floats().size() / channels;
  std::vector<double> means(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const float* first = value.floats().data() + c * area;
    means[c] = std::accumulate(first, first + area, 0.0) / static_cast<double>(area);
  }
  return means;
}

}  // namespace

Observations observe(const graph::Interpreter& network, const Scheme& scheme, const Samples& samples,
                     const std::vector<std::size_t>& indices) {
  std::map<std::string, int> group_of;
  for (std::size_t i = 0; i < scheme.tensors.size(); ++i) group_of[scheme.tensors[i]] = scheme.group_of[i];
  std::set<std::string> is_input;
  for (const Layer& layer : scheme.layers) is_input.insert(layer.input);

  Observations all;
  all.groups.resize(static_cast<std::size_t>(scheme.groups));
  std::mutex mutex;
  std::vector<std::map<std::string, std::vector<double>>> means(indices.size());
  for_each_index(indices.size(), [&](std::size_t i) {
    auto groups = std::make_unique<std::vector<Histogram>>(all.groups.size());
    const auto note = [&](const graph::Node&, const std::string& tensor, graph::Tensor& value) {
      if (const auto group = group_of.find(tensor); group != group_of.end())
        (*groups)[static_cast<std::size_t>(group->second)].add(value.floats());
      if (is_input.contains(tensor)) means[i][tensor] = means_of(value);
    };
    static_cast<void>(network.run(as_input(samples, indices[i]), note));
    const std::lock_guard lock(mutex);  // counts are whole numbers: the order of merging doesn't matter
    for (std::size_t g = 0; g < groups->size(); ++g) all.groups[g].merge((*groups)[g]);
  });
  for (const auto& one : means) {  // in the pictures' order, so that sums round alike every time
    for (const auto& [tensor, values] : one) {
      auto& sums = all.channel_means[tensor];
      sums.resize(values.size(), 0);
      for (std::size_t c = 0; c < values.size(); ++c) sums[c] += values[c] / static_cast<double>(indices.size());
    }
  }
  return all;
}

}  // namespace gantry::precision
