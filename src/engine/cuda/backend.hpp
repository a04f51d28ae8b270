#pragma once
// Gantry's CUDA engine behind the Backend seam.
#include <memory>

#include "gantry/engine/factory.hpp"

namespace gantry::cuda {

/// @throws ModelError, DeviceError
[[nodiscard]] std::unique_ptr<engine::Backend> make_cuda_backend(const engine::ModelOptions& options);

}  // namespace gantry::cuda
