#pragma once
// An upper bound on the frames that any schedule can answer in time, even one that knows every arrival and every change
// of the devices' speed beforehand.
//
// A batch of b frames costs t(b) of table time, so each of its frames pays t(b)/b. If the batch is to end inside the
// deadline of every frame in it that counts, t(b) <= D * s, D being the time from that frame's arrival to its deadline
// and s the device's highest speed; frame j therefore pays at least
//     c_j = min over devices d and b with t_d(b) <= D_j s_d   of   r_d t_d(b) / b
// where r_d, the frames per table second of device d at its best batch and shape, makes devices of unlike speed one
// currency. The devices' work r_d * (table time worked off) is added up into one machine W(t). The relaxation then
// forgets that batches are whole, uninterrupted, and start when their last frame has arrived:
//     maximise   sum x_j    subject to    0 <= x_j <= 1,   work c_j x_j done between arrival and deadline of j,
//                                         total work done by time t never above W(t).
// The work that can be done for a set S of frames, f(S), is found exactly by serving the earliest deadline first on W;
// f is a polymatroid's rank function, so the maximum is the greedy one: with the distinct costs c_1 < … < c_K and S_k
// the frames that cost at most c_k,
//     bound = sum over k of (1/c_k - 1/c_{k+1}) f(S_k),    1/c_{K+1} = 0.
//
// Under the urgent cap (for servers that don't know when the next urgent frame comes and may not interrupt a batch),
// batches are also held to t(b) + t(1) <= the shortest deadline of any urgent or emergency frame.
#include "gantry/scheduler/sim/device_model.hpp"
#include "gantry/scheduler/sim/scenario.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

enum class Cap : std::uint8_t { kNone, kUrgent };

/// @return frames, not more than workload.frames.size(); not necessarily whole
[[nodiscard]] double upper_bound(const Workload& workload, const std::vector<DeviceModel>& devices, int shapes,
                                 Cap cap);

/// The shortest time from arrival to deadline of any urgent or emergency frame; infinity where there is none. Under the
/// urgent cap a batch of `shape` may take this less device.cost_ns(shape, 1).
[[nodiscard]] double shortest_urgent_ns(const Workload& workload) noexcept;

}  // namespace gantry::scheduler::sim
