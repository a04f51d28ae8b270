// Stands in for libnvidia-ml.so.1: two GPUs whose readings a test sets.
#include "app/fake_nvml.hpp"

#include <cstring>

namespace {
FakeNvml state;
struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned gpu, memory;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
}  // namespace

FakeNvml& fake_nvml() {
  return state;
}

extern "C" {
struct nvmlDevice_st {
  int index;
};
static nvmlDevice_st devices[] = {{0}, {1}};

int nvmlInit_v2() {
  ++state.open;
  return state.driver_answers ? 0 : 9;
}
int nvmlShutdown() {
  --state.open;
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetPciInfo_v3(nvmlDevice_st* device, PciInfo* out) {
  *out = {};
  std::strncpy(out->bus_id, state.bus_ids[device->index], sizeof out->bus_id - 1);
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_st** device) {
  if (index > 1) return 6;
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_st** device) {
  if (std::strcmp(uuid, "GPU-bbbb") != 0) return 6;
  *device = &devices[1];
  return 0;
}
int nvmlDeviceGetUtilizationRates(nvmlDevice_st* device, Utilization* out) {
  *out = {state.utilization[device->index], 0};
  return state.lost ? 15 : 0;
}
int nvmlDeviceGetMemoryInfo(nvmlDevice_st* device, Memory* out) {
  const unsigned long long used = state.memory_used[device->index];
  *out = {80'000, 80'000 - used, used};
  return 0;
}
}
