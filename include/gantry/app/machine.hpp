#pragma once
// What this machine has, read from the kernel and, where there is a driver, from NVIDIA's management library (opened at
// run time, so that a machine without one runs the same program).
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gantry/core/numa.hpp"

namespace gantry::app {

struct Gpu {
  std::string name;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_free_bytes = 0;
  unsigned pcie_generation = 0;      ///< of the link as it is now (it sleeps when idle); 0: not known
  unsigned pcie_width = 0;           ///< lanes in use; 0: not known
  unsigned pcie_width_possible = 0;  ///< lanes that card and slot could use; 0: not known
  NearCpus near;                     ///< where the threads of its engine stay
};

struct NetworkLink {
  std::string name;
  std::int64_t megabits = 0;  ///< a second; 0 where the driver does not say (virtual machines)
};

struct Machine {
  std::string cpu;                        ///< as the kernel calls it
  int cores = 0;                          ///< that this process may use
  std::vector<std::string> instructions;  ///< of those that the network gains from: avx2, avx512_vnni, amx_int8, …
  std::uint64_t memory_bytes = 0;         ///< that this process may use: the machine's or its cgroup's limit
  std::uint64_t memory_free_bytes = 0;
  std::uint64_t descriptors = 0;           ///< soft limit
  std::uint64_t descriptors_possible = 0;  ///< hard limit
  std::uint64_t receive_buffer_bytes = 0;  ///< most that a socket may ask for (net.core.rmem_max); 0: not known
  std::vector<NetworkLink> links;          ///< that are up, without loopback
  std::vector<Gpu> gpus;
  std::string driver;       ///< NVIDIA's, empty: none
  std::string gpu_missing;  ///< why `gpus` is empty
  bool nvdec = false;       ///< the video decoder's library is there
};

/// Shares in use, 0…1.
struct MemoryUse {
  double machine = 0;                                     ///< of what this process may use
  std::vector<std::pair<std::uint16_t, double>> devices;  ///< number of the scheduler's device, and its own memory
};
/// Of the machine and, where wanted, of its GPUs in the driver's order. Never throws; 0 for what cannot be read.
[[nodiscard]] double machine_memory_use();
[[nodiscard]] std::vector<double> gpu_memory_use();

/// Never throws; what cannot be read stays at its default. @param sys the kernel's /sys, for what lies near the cards
[[nodiscard]] Machine read_machine(const std::filesystem::path& sys = "/sys");

}  // namespace gantry::app
