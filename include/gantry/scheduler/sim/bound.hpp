#pragma once
// An upper bound on the frames that any schedule can answer in time, even one that knows every arrival and every change
// of the devices' speed beforehand.
//
// A batch of b frames costs t(b) of table time, so each of its frames pays t(b)/b. Let s be the device's highest speed
// and D_j the time from frame j's arrival to its deadline. If j's batch is to end inside j's deadline, t(b) <= s D_j.
// All frames that count in it have arrived by its start and have deadlines past its end, so their arrivals lie within
// D - t(b)/s of each other, D being the longest D_j of their shape: there must be b consecutive arrivals of the shape,
// j among them, that close. Frame j therefore pays at least
//     c_j = min over devices d, and b with t_d(b) <= s_d D_j and b such arrivals around j,   of   r_d t_d(b) / b
// where r_d, the frames per table second of device d at its best batch and shape, makes devices of unlike speed one
// currency. (Of the number of arrivals, rounded up to a few steps; that only lowers c_j.) The devices' work
// r_d * (table time worked off) is added up into one machine W(t). The relaxation then forgets that batches are whole,
// uninterrupted, and start when their last frame has arrived:
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
