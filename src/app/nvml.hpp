#pragma once
#include "gantry/app/machine.hpp"

namespace gantry::app {

/// Fills gpus, driver, gpu_missing and nvdec.
void read_gpus(Machine& machine);

}  // namespace gantry::app
