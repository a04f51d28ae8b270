#pragma once
// How long a batch takes on a simulated device. A batch costs table time; the device works table time off at a speed
// that varies: noise and stalls drawn from the seed, slow-downs and faults from the scenario. The speed is a function
// of time alone, so every policy meets the same device, and the offline bound knows exactly what it could have done.
#include <cstdint>
#include <vector>

#include "gantry/scheduler/sim/scenario.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

/// Immutable once made; thread-safe.
class DeviceModel {
 public:
  /// The speed is constant within a slot. Events begin and end at the nearest slot.
  static constexpr VirtualNs kSlotNs = 1'000'000;

  /// @pre `device` is an index into scenario.devices
  DeviceModel(const Scenario& scenario, int device, std::uint64_t seed);

  [[nodiscard]] int max_batch() const noexcept { return max_batch_; }
  /// Table time of a batch in ns. @pre 1 <= batch <= max_batch(), shape an index into Scenario::shapes
  [[nodiscard]] double cost_ns(int shape, int batch) const noexcept { return cost_ns_[shape][batch]; }
  [[nodiscard]] bool same_table(const DeviceModel& other) const noexcept { return cost_ns_ == other.cost_ns_; }
  /// When a batch started at `start` ends. @pre the device is up then, and stays up: see faults()
  [[nodiscard]] VirtualNs finish(VirtualNs start, double cost_ns) const noexcept;
  /// Table time that the device works off by `at`, in ns, since the start of the run.
  [[nodiscard]] double work_by(VirtualNs at) const noexcept;
  [[nodiscard]] double fastest() const noexcept { return fastest_; }

  /// Down times [begin, end), in order, apart.
  [[nodiscard]] const std::vector<std::pair<VirtualNs, VirtualNs>>& faults() const noexcept { return faults_; }

 private:
  int max_batch_ = 1;
  std::vector<std::vector<double>> cost_ns_;  ///< [shape][batch]
  std::vector<float> speed_;                  ///< by slot; 1 beyond the end
  std::vector<double> work_;                  ///< at the beginning of each slot, and at the end of the last
  double fastest_ = 1;
  std::vector<std::pair<VirtualNs, VirtualNs>> faults_;
};

[[nodiscard]] std::vector<DeviceModel> make_devices(const Scenario& scenario, std::uint64_t seed);

}  // namespace gantry::scheduler::sim
