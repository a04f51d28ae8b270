#pragma once
// gantry val --compare: two models on the same pictures.
#include "cli/val_answers.hpp"

namespace gantry::cli {

/// Prints both models' scores and their difference. @returns the exit code
/// @throws StartupError where the two can't be compared; ModelError, DeviceError
int compare_models(const ValCommand& command, vision::Dataset& dataset);

}  // namespace gantry::cli
