#pragma once
// The float run over the calibration pictures: which values flow where.
#include <map>
#include <string>
#include <vector>

#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/precision/samples.hpp"
#include "precision/histogram.hpp"
#include "precision/scheme.hpp"

namespace gantry::precision {

struct Observations {
  std::vector<Histogram> groups;                             ///< by Scheme's groups
  std::map<std::string, std::vector<double>> channel_means;  ///< of each tensor that a layer reads, [channels]
};

/// Every `indices` sample through the network. The same for any number of threads.
[[nodiscard]] Observations observe(const graph::Interpreter& network, const Scheme& scheme, const Samples& samples,
                                   const std::vector<std::size_t>& indices);

}  // namespace gantry::precision
