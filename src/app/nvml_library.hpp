#pragma once
// NVIDIA's management library by its stable C interface, without its headers, opened at run time.
#include <dlfcn.h>

#include <array>
#include <memory>

namespace gantry::app::nvml {

struct Close {
  void operator()(void* library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, Close>;

using Device = struct nvmlDevice_st*;
struct MemoryInfo {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned compute, memory;  ///< percent
};
struct PciInfo {
  std::array<char, 16> bus_id_legacy;
  unsigned domain, bus, device, device_id, subsystem_id;
  std::array<char, 32> bus_id;  ///< "00000000:1B:00.0"
};

[[nodiscard]] inline Library open() {
  return Library{dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL)};
}
template <typename Function>
[[nodiscard]] Function* find(const Library& library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library.get(), name));
}
/// Calls `function` if it is there; true where it answered with success.
template <typename Function, typename... Arguments>
bool call(Function* function, Arguments... arguments) {
  return function != nullptr && function(arguments...) == 0;
}

}  // namespace gantry::app::nvml
