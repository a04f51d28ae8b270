#include "gantry/app/machine.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/nvml.hpp"

namespace gantry::app {
namespace fs = std::filesystem;
namespace {

template <typename T>
T read_number(const fs::path& path) {
  T value{};
  std::ifstream{path} >> value;
  return value;
}

void read_cpu(Machine& machine) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) machine.cores = CPU_COUNT(&allowed);
  std::ifstream info{"/proc/cpuinfo"};
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name")) machine.cpu = line.substr(colon + 2);
    if (!line.starts_with("flags")) continue;
    std::istringstream flags{line.substr(colon + 2)};
    for (std::string flag; flags >> flag;)
      for (const char* useful : {"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"})
        if (flag == useful) machine.instructions.push_back(flag);
    return;  // all cores are alike
  }
}

void read_memory(Machine& machine) {
  std::ifstream info{"/proc/meminfo"};
  std::string key;
  std::uint64_t kib = 0;
  for (std::string line; std::getline(info, line);) {
    std::istringstream words{line};
    words >> key >> kib;
    if (key == "MemTotal:") machine.memory_bytes = kib * 1024;
    if (key == "MemAvailable:") machine.memory_free_bytes = kib * 1024;
  }
  // A container's own limit; "max" reads as 0.
  const auto limit = read_number<std::uint64_t>("/sys/fs/cgroup/memory.max");
  if (limit == 0 || limit >= machine.memory_bytes) return;
  auto used = read_number<std::uint64_t>("/sys/fs/cgroup/memory.current");
  // Pages of files that the kernel would let go of first are as good as free.
  std::ifstream parts{"/sys/fs/cgroup/memory.stat"};
  for (std::uint64_t bytes = 0; parts >> key >> bytes;)
    if (key == "inactive_file") used -= std::min(used, bytes);
  machine.memory_bytes = limit;
  machine.memory_free_bytes = std::min(machine.memory_free_bytes, limit - std::min(limit, used));
}

void read_links(Machine& machine) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{"/sys/class/net", error}) {
    const auto name = entry.path().filename().string();
    std::string state;
    std::ifstream{entry.path() / "operstate"} >> state;
    if (name == "lo" || state == "down") continue;
    machine.links.push_back({name, std::max<std::int64_t>(0, read_number<std::int64_t>(entry.path() / "speed"))});
  }
  std::sort(machine.links.begin(), machine.links.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

}  // namespace

double machine_memory_use() {
  Machine machine;
  read_memory(machine);
  if (machine.memory_bytes == 0) return 0;
  return 1 - static_cast<double>(machine.memory_free_bytes) / static_cast<double>(machine.memory_bytes);
}

std::vector<double> gpu_memory_use() {
  Machine machine;
  read_gpus(machine);
  std::vector<double> used;
  for (const Gpu& gpu : machine.gpus)
    used.push_back(gpu.memory_bytes == 0
                       ? 0
                       : 1 - static_cast<double>(gpu.memory_free_bytes) / static_cast<double>(gpu.memory_bytes));
  return used;
}

Machine read_machine(const fs::path& sys) {
  Machine machine;
  read_cpu(machine);
  read_memory(machine);
  read_links(machine);
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    machine.descriptors = descriptors.rlim_cur;
    machine.descriptors_possible = descriptors.rlim_max;
  }
  machine.receive_buffer_bytes = read_number<std::uint64_t>("/proc/sys/net/core/rmem_max");
  read_gpus(machine, sys);
  return machine;
}

}  // namespace gantry::app
