#pragma once
// The discrete-event simulator: plays a workload to a Policy on simulated devices, in virtual time. The policy is the
// object that the live dispatcher drives, called in the same way; the simulator trusts none of its answers (a frame
// launched twice, on a busy device or never ended is a PreconditionError that names the policy).
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/scheduler/policy.hpp"
#include "gantry/scheduler/sim/device_model.hpp"
#include "gantry/scheduler/sim/stats.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

/// What a policy did, for those who want to see why; called in the order of virtual time.
struct Step {
  enum class Kind : std::uint8_t { kArrival, kDrop, kLaunch, kFinish, kFailed, kDown, kUp };
  Kind kind = Kind::kArrival;
  VirtualNs at_ns = 0;
  DeviceId device = kNoDevice;           ///< of batches and device events
  std::uint64_t frame = 0;               ///< index into Workload::frames, of arrivals and drops
  Outcome reason = Outcome::kPublished;  ///< of drops
  std::span<const FrameTicket> batch;    ///< of batches: indices into Workload::frames
};
using Observer = std::function<void(const Step&)>;

/// One run, from set-up to the last frame's end. Deterministic: depends on its arguments alone. `policy` must be fresh.
[[nodiscard]] RunStats simulate(const Scenario& scenario, const Workload& workload,
                                const std::vector<DeviceModel>& devices, Policy& policy,
                                const Observer& observer = nullptr);

/// Tells a policy of the scenario's devices and latency tables, and of the workload's cameras, as at virtual time 0.
/// The live-against-simulated test sets its dispatcher up with the same call.
void set_up(Policy& policy, const Scenario& scenario, const Workload& workload,
            const std::vector<DeviceModel>& devices);

}  // namespace gantry::scheduler::sim
