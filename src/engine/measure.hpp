#pragma once
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

/// Times `backend` at the batch sizes 1, 2, 4, … and max_batch on grey pictures twice the size of `shape`, one batch at
/// a time. The shape must be ready to run.
/// @throws ModelError where a batch fails
[[nodiscard]] std::vector<Profile> measure_latency(Backend& backend, InputShape shape, int max_batch);

}  // namespace gantry::engine
