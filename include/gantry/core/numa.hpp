#pragma once
// Which CPUs lie near a device, and threads that stay on them. On a machine of several NUMA nodes a card hangs on one
// of them, and a thread elsewhere that feeds it crosses the link between sockets with everything that it says and every
// byte of host memory that it fills. On a machine of one node nothing here does anything.
//
// Owner: none. Thread-safe: files of the kernel are read, and the calling thread's own affinity is set.
#include <sched.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gantry {

struct NearCpus {
  int node = -1;  ///< the device's NUMA node; -1: the machine has one, or does not say
  /// Of the node's CPUs those that the calling thread may use, ascending. Empty: no CPU is nearer than another.
  std::vector<int> cpus;
};

/// @param pci_bus_id as CUDA or NVML name it, "0000:1B:00.0"; the domain may have more digits
/// @param sys where the kernel's /sys is
[[nodiscard]] NearCpus near_cpus(std::string_view pci_bus_id, const std::filesystem::path& sys = "/sys");

/// "0-15,32-47" as the kernel writes it, and back. What is no list gives no CPUs.
[[nodiscard]] std::string cpu_list(const std::vector<int>& cpus);
[[nodiscard]] std::vector<int> parse_cpu_list(std::string_view text);

/// Keeps the calling thread, and threads that it starts meanwhile, on those CPUs. The thread may run where it could
/// before once this has gone; it does nothing where no CPU is nearer.
class StayNear {
 public:
  explicit StayNear(const NearCpus& where) noexcept;
  ~StayNear();
  StayNear(const StayNear&) = delete;
  StayNear& operator=(const StayNear&) = delete;

 private:
  cpu_set_t before_{};
  bool moved_ = false;
};

}  // namespace gantry
