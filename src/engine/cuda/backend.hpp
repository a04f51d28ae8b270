#pragma once
// Gantry's CUDA engine behind the Backend seam.
#include <filesystem>
#include <memory>

#include "gantry/engine/factory.hpp"

namespace gantry::cuda {

/// 0 without a driver.
[[nodiscard]] int device_count() noexcept;
/// @param sys the kernel's /sys, which says what CPUs are near the card: the back end's threads stay on them
/// @throws ModelError, DeviceError
[[nodiscard]] std::unique_ptr<engine::Backend> make_cuda_backend(const engine::ModelOptions& options,
                                                                 const std::filesystem::path& sys = "/sys");

}  // namespace gantry::cuda
