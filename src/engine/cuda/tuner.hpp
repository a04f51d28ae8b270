#pragma once
// Picks each group's way and each kernel's variant for one batch size, by timing them on the card.
#include <span>

#include "engine/cuda/steps.hpp"
#include "engine/cuda/tuning_cache.hpp"

namespace gantry::cuda {

struct TuneResult {
  int timed = 0;   ///< candidates measured now
  int known = 0;   ///< steps whose choice came from the cache
  int failed = 0;  ///< candidates that the card refused
};

/// Sets `chosen` and `micros` everywhere. With `measure` false only the cache is asked and the rest keeps the first
/// candidate. Uses the binding's memory, whose contents are lost; blocks until done.
/// @throws DeviceError where not even one candidate of a step runs
TuneResult tune(std::vector<Group>& groups, const graph::Plan& plan, const Binding& binding, const DeviceInfo& device,
                TuningCache& cache, bool measure);

/// Median microseconds of one launch, from a captured run of several.
double time_launch(const std::function<cudaError_t(cudaStream_t)>& launch, cudaStream_t stream);

}  // namespace gantry::cuda
