#pragma once
#include "gantry/app/machine.hpp"

namespace gantry::app {

/// Fills gpus, driver, gpu_missing and nvdec. @param sys the kernel's /sys
void read_gpus(Machine& machine, const std::filesystem::path& sys = "/sys");

}  // namespace gantry::app
