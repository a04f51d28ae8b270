#pragma once
// Gantry's CUDA engine behind the Backend seam.
#include <memory>

#include "gantry/engine/factory.hpp"

namespace gantry::cuda {

/// 0 without a driver.
[[nodiscard]] int device_count() noexcept;
/// @throws ModelError, DeviceError
[[nodiscard]] std::unique_ptr<engine::Backend> make_cuda_backend(const engine::ModelOptions& options);

}  // namespace gantry::cuda
