// NVIDIA's management library by its stable C interface, without its headers.
#include "app/nvml.hpp"

#include <dlfcn.h>

#include <array>
#include <memory>

namespace gantry::app {
namespace {

struct Close {
  void operator()(void* library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, Close>;

using Device = struct nvmlDevice_st*;
struct MemoryInfo {
  unsigned long long total, free, used;
};

template <typename Function>
Function* find(const Library& library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library.get(), name));
}

/// Calls `function` if it is there; true where it answered with success.
template <typename Function, typename... Arguments>
bool call(Function* function, Arguments... arguments) {
  return function != nullptr && function(arguments...) == 0;
}

}  // namespace

void read_gpus(Machine& machine) {
  machine.nvdec = Library{dlopen("libnvcuvid.so.1", RTLD_LAZY | RTLD_LOCAL)} != nullptr;
  const Library nvml{dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL)};
  if (!nvml) {
    machine.gpu_missing = "no NVIDIA driver (libnvidia-ml.so.1 is not there)";
    return;
  }
  if (!call(find<int()>(nvml, "nvmlInit_v2"))) {
    machine.gpu_missing = "the NVIDIA driver does not answer; is its kernel module loaded?";
    return;
  }
  std::array<char, 96> text{};
  if (call(find<int(char*, unsigned)>(nvml, "nvmlSystemGetDriverVersion"), text.data(),
           static_cast<unsigned>(text.size())))
    machine.driver = text.data();
  unsigned count = 0;
  call(find<int(unsigned*)>(nvml, "nvmlDeviceGetCount_v2"), &count);
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    if (!call(find<int(unsigned, Device*)>(nvml, "nvmlDeviceGetHandleByIndex_v2"), i, &device)) continue;
    Gpu gpu;
    if (call(find<int(Device, char*, unsigned)>(nvml, "nvmlDeviceGetName"), device, text.data(),
             static_cast<unsigned>(text.size())))
      gpu.name = text.data();
    MemoryInfo memory{};
    if (call(find<int(Device, MemoryInfo*)>(nvml, "nvmlDeviceGetMemoryInfo"), device, &memory)) {
      gpu.memory_bytes = memory.total;
      gpu.memory_free_bytes = memory.free;
    }
    const auto number = [&](const char* name, unsigned& out) {
      call(find<int(Device, unsigned*)>(nvml, name), device, &out);
    };
    number("nvmlDeviceGetCurrPcieLinkGeneration", gpu.pcie_generation);
    number("nvmlDeviceGetCurrPcieLinkWidth", gpu.pcie_width);
    number("nvmlDeviceGetMaxPcieLinkWidth", gpu.pcie_width_possible);
    machine.gpus.push_back(std::move(gpu));
  }
  call(find<int()>(nvml, "nvmlShutdown"));
  if (machine.gpus.empty()) machine.gpu_missing = "the NVIDIA driver is there and sees no GPU";
}

}  // namespace gantry::app
