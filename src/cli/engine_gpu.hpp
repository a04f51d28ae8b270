#pragma once
// What `gantry engine` asks a GPU, where the build has the CUDA engine and the machine a card.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/graph/check.hpp"

namespace gantry::cli {

/// "auto": nothing where there is no card that runs the model. "cpu": nothing. "cuda:N": throws then.
/// @throws ModelError, DeviceError
[[nodiscard]] std::optional<cuda::ProfileReport> measure_on_gpu(const std::string& device, const std::string& model,
                                                                engine::InputShape shape, int batch);
[[nodiscard]] std::optional<std::vector<graph::LayerError>> check_on_gpu(
    const std::string& device, const std::string& model, engine::InputShape shape, std::span<const float> pictures,
    const graph::LayerCheck& reference, graph::CheckMode mode);

/// Every run of ops with its time against its floor, then where the time goes by kind of kernel.
void print_measured(const cuda::ProfileReport& report);

}  // namespace gantry::cli
