#pragma once
#include <memory>

#include "gantry/engine/factory.hpp"

namespace gantry::engine::openvino {

/// @throws ModelError, DeviceError
[[nodiscard]] std::unique_ptr<Backend> make_openvino_backend(const ModelOptions& options);

}  // namespace gantry::engine::openvino
