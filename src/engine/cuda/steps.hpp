#pragma once
// From a Plan to kernels: every op, or run of ops that one kernel can do, becomes a Group with the ways to run it. The
// tuner times the ways and picks; the engine then captures what was picked.
#include <cuda_fp16.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/cuda/device.hpp"
#include "engine/cuda/kernels/detect.hpp"
#include "engine/cuda/weight_store.hpp"
#include "gantry/engine/graph/plan.hpp"

namespace gantry::cuda {

/// Where one lane's memory lies for one profile.
struct Binding {
  std::byte* arena = nullptr;
  __half* input = nullptr;  ///< [batch][H][W][4]
  int batch = 1;
  DetectArgs detect;  ///< workspace and results; levels are filled by the step
};

/// A launch of images [first, first + images) of the batch. Asynchronous on `stream`.
using Launch = std::function<cudaError_t(const Binding&, int first, int images, const LaunchShape&, cudaStream_t)>;

struct Candidate {
  std::string name;
  Launch launch;
};

/// One kernel, in the variants that can run it.
struct Step {
  std::string key;  ///< all that its speed depends on but batch and card; equal keys share one tuning
  std::vector<Candidate> candidates;
  std::size_t chosen = 0;
  double micros = 0;  ///< of the chosen one, where tuned
};

/// One way to run a group: its kernels in order.
struct Way {
  std::string name;  ///< "fused", "apart", …
  std::vector<Step> steps;
};

struct Group {
  std::vector<int> ops;    ///< of the plan, ascending
  std::vector<int> after;  ///< groups that must be done, ascending
  int segment = 0;
  std::vector<Way> ways;  ///< at least one
  std::size_t chosen = 0;
  [[nodiscard]] const Way& way() const { return ways[chosen]; }
};

/// Packs the plan's arena anew so that what a fused kernel writes never lies where it still reads: every op that may be
/// fused counts as reading the inputs of the whole run.
void separate_fused(graph::Plan& plan, const DeviceInfo& device);

/// @throws ModelError naming the op where no kernel runs it
[[nodiscard]] std::vector<Group> make_groups(std::shared_ptr<const graph::Plan> plan, WeightStore& weights,
                                             const DeviceInfo& device);

}  // namespace gantry::cuda
