#pragma once
// One captured network: a plan for one input rectangle and batch size, tuned, and its CUDA graph for one lane's memory.
#include <memory>
#include <vector>

#include "engine/cuda/steps.hpp"

namespace gantry::cuda {

/// What runs: shared by the lanes that capture it.
struct Recipe {
  std::shared_ptr<const graph::Plan> plan;
  std::vector<Group> groups;
  int batch = 1;
};

struct RecordOptions {
  bool programmatic = true;  ///< programmatic dependent launch between kernels of a chain
  int branches = 8;          ///< streams for independent branches; 1 for none
};

/// Runs everything once: parameters are uploaded and kernels loaded when first used, which a capture forbids. Where
/// nobody has measured, a kernel that the card refuses gives way to its next candidate.
/// @throws DeviceError
void warm_up(Recipe& recipe, const Binding& binding, const DeviceInfo& device, bool measured);

/// Records the recipe into a graph: independent branches fork and join, chains use programmatic dependent launch.
/// Runs nothing. @pre warm_up() of the recipe, with any memory
/// @throws DeviceError
[[nodiscard]] GraphExec record(const Recipe& recipe, const Binding& binding, const DeviceInfo& device,
                               const RecordOptions& options);

}  // namespace gantry::cuda
