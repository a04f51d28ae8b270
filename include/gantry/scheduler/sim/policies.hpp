#pragma once
// Policies by name: Gantry's own, and the baselines that it is measured against. Each baseline follows the published
// behaviour of its system in its simplest form; docs/scheduler.md says where each description comes from and which
// knobs were set. None of them knows camera periods, and only Triton's knows priorities, as published.
#include <memory>
#include <string>
#include <vector>

#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler::sim {

/// Fires when a full batch waits or the oldest frame has waited `delay`; first in, first out. Frames whose deadline has
/// passed when a batch is formed are dropped: the mildest form of the rule, without which overload would leave nothing.
struct FixedTimeoutOptions {
  Duration delay = std::chrono::milliseconds(10);
};
/// Triton's dynamic batcher: a preferred batch size goes out at once, anything else when the oldest frame has waited
/// `max_queue_delay`; priority levels are the classes; the queue policy rejects a request that has waited for
/// `timeout_share` of its deadline, which, as in Triton, is looked at only when a batch is formed.
struct TritonOptions {
  Duration max_queue_delay = std::chrono::milliseconds(2);
  std::vector<int> preferred = {8, 16};  ///< besides the largest batch
  double timeout_share = 0.5;            ///< the rest is left for the batch before and its own
};

[[nodiscard]] std::unique_ptr<Policy> make_fixed_timeout(const FixedTimeoutOptions& options = {});
[[nodiscard]] std::unique_ptr<Policy> make_triton(const TritonOptions& options = {});
/// Clockwork (OSDI'20): knows t(batch) and never starts what would be late. Each request stands for one strategy a
/// compiled batch size, which must start by its deadline - t(size); the strategy that must start soonest, is not past
/// and is filled by the requests behind it runs as soon as the device is idle.
[[nodiscard]] std::unique_ptr<Policy> make_clockwork();
/// Nexus (SOSP'19), early drop: slides a window of the target batch over the queue and drops its head until the head
/// leaves time to run the window.
[[nodiscard]] std::unique_ptr<Policy> make_nexus();
/// Round-robin lockstep, as stream multiplexers do it: groups of max_batch cameras take turns; a group runs once each
/// of its cameras has a frame, or one frame time (1/30 s) after the first came. Newest wins.
[[nodiscard]] std::unique_ptr<Policy> make_lockstep();

/// "gantry", then the baselines: "fixed_timeout", "triton", "clockwork", "nexus", "lockstep".
[[nodiscard]] const std::vector<std::string>& policy_names();
/// @throws ConfigError for another name
[[nodiscard]] std::unique_ptr<Policy> make_policy(const std::string& name);

}  // namespace gantry::scheduler::sim
