#pragma once
// How short the queue wait can be made at best: a lower bound on a quantile of it, for any schedule, in any order, that
// answers every frame in time on one device with one input shape; even one that knows every arrival beforehand.
//
// Let a share q of the frames wait at most w; call them prompt. The r prompt frames of a batch that starts at s all
// arrived in [s - w, s], so that r <= n_j for each of them, n_j being the most arrivals in any window of length w
// around j. A batch of r prompt frames and e others costs t(r + e) of table time. For any price mu >= 0 of the others,
//     t(r + e) >= f(r) + mu e      with      f(r) = min over e of   t(r + e) - mu e,
// so the work of all batches is at least
//     mu (1 - q) N  +  the sum over the q N cheapest frames j of   min over r <= n_j of  f(r) / r,
// whichever frames are the prompt ones. Where that is more than the device can work off between the first arrival and
// the last deadline, no schedule has such a w. The bound takes the best of some prices, and the least w that none of
// them excludes.
#include "gantry/scheduler/sim/device_model.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

/// @param q 0…1. @return ns, to within 10 µs. @pre the workload has frames, all of shape 0; the device has no faults
[[nodiscard]] VirtualNs least_wait(const Workload& workload, const DeviceModel& device, double q);

}  // namespace gantry::scheduler::sim
