#include "app/nvml.hpp"

#include <array>

#include "app/nvml_library.hpp"

namespace gantry::app {

void read_gpus(Machine& machine, const std::filesystem::path& sys) {
  using namespace nvml;
  machine.nvdec = Library{dlopen("libnvcuvid.so.1", RTLD_LAZY | RTLD_LOCAL)} != nullptr;
  const Library library = nvml::open();
  if (!library) {
    machine.gpu_missing = "no NVIDIA driver (libnvidia-ml.so.1 is not there)";
    return;
  }
  if (!call(find<int()>(library, "nvmlInit_v2"))) {
    machine.gpu_missing = "the NVIDIA driver does not answer; is its kernel module loaded?";
    return;
  }
  std::array<char, 96> text{};
  if (call(find<int(char*, unsigned)>(library, "nvmlSystemGetDriverVersion"), text.data(),
           static_cast<unsigned>(text.size())))
    machine.driver = text.data();
  unsigned count = 0;
  call(find<int(unsigned*)>(library, "nvmlDeviceGetCount_v2"), &count);
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    if (!call(find<int(unsigned, Device*)>(library, "nvmlDeviceGetHandleByIndex_v2"), i, &device)) continue;
    Gpu gpu;
    if (call(find<int(Device, char*, unsigned)>(library, "nvmlDeviceGetName"), device, text.data(),
             static_cast<unsigned>(text.size())))
      gpu.name = text.data();
    MemoryInfo memory{};
    if (call(find<int(Device, MemoryInfo*)>(library, "nvmlDeviceGetMemoryInfo"), device, &memory)) {
      gpu.memory_bytes = memory.total;
      gpu.memory_free_bytes = memory.free;
    }
    PciInfo pci{};
    if (call(find<int(Device, PciInfo*)>(library, "nvmlDeviceGetPciInfo_v3"), device, &pci))
      gpu.near = near_cpus(pci.bus_id.data(), sys);
    const auto number = [&](const char* name, unsigned& out) {
      call(find<int(Device, unsigned*)>(library, name), device, &out);
    };
    number("nvmlDeviceGetCurrPcieLinkGeneration", gpu.pcie_generation);
    number("nvmlDeviceGetCurrPcieLinkWidth", gpu.pcie_width);
    number("nvmlDeviceGetMaxPcieLinkWidth", gpu.pcie_width_possible);
    machine.gpus.push_back(std::move(gpu));
  }
  call(find<int()>(library, "nvmlShutdown"));
  if (machine.gpus.empty()) machine.gpu_missing = "the NVIDIA driver is there and sees no GPU";
}

}  // namespace gantry::app
