#pragma once
// Picks each group's way and each kernel's variant for one batch size, by timing them on the card.
#include "engine/cuda/profile.hpp"
#include "engine/cuda/tuning_cache.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"

namespace gantry::cuda {

struct TuneResult {
  int timed = 0;         ///< candidates measured now
  int failed = 0;        ///< candidates that the card refused
  int unknown = 0;       ///< steps with a choice that nobody has measured
  bool stopped = false;  ///< asked to end early
};

/// Sets `chosen` and `micros` everywhere from what the cache knows; the rest keeps its first candidate.
TuneResult look_up(Recipe& recipe, const TuningCache& cache);

/// Measures what the cache doesn't know and sets `chosen` and `micros` everywhere. Uses the binding's memory, whose
/// contents are lost; blocks until done.
/// @throws DeviceError where not even one candidate of a step runs
TuneResult tune(Recipe& recipe, const Binding& binding, cudaStream_t stream, const DeviceInfo& device,
                TuningCache& cache, const TuneControl& control);

/// Median milliseconds of one replay of a graph.
double time_replays(cudaGraphExec_t graph, cudaStream_t stream, int replays);

}  // namespace gantry::cuda
