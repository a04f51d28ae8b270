// One decision: what has become hopeless, which device has work, start or wait.
#include <algorithm>
#include <cmath>

#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr Ns kProbeInterval = 250'000'000;
constexpr double kProbeSlowdown = 1.2;
constexpr double kPatience = 2;  // full batches that a device's own frames must be able to wait for, to help with one

}  // namespace

Decision GantryPolicy::Impl::decide(Ns now) {
  launch_.reset();
  if (load_.poll(to_time(now))) plan_load();
  ladder_.poll(to_time(now));
  Ns wait_until = kNsNever;
  const std::size_t n = devices_.size();
  for (std::size_t i = 0; i < n && !launch_; ++i) {
    Device& device = devices_[(turn_ + i) % n];
    if (!device.known) continue;
    if (device.dirty || now >= device.next_check) {
      device.dirty = false;
      if (evaluate(device, now)) {
        device.dirty = true;  // it may have room for another, and its timers have changed
        turn_ = (turn_ + i) % n;
      }
    }
  }
  if (!launch_)
    for (const Device& device : devices_) wait_until = std::min(wait_until, device.next_check);

  drops_out_.clear();
  drops_out_.swap(drops_);
  Decision decision;
  decision.drops = drops_out_;
  decision.launch = launch_;
  decision.wait_until = wait_until == kNsNever ? kNever : to_time(wait_until);
  return decision;
}

/// @return whether a batch was launched. Sets the device's next_check otherwise.
bool GantryPolicy::Impl::evaluate(Device& device, Ns now) {
  device.idle = false;
  if (device.breaker.poll(to_time(now)))
    latency_.forget_slowdown(device.spec.id);  // or nothing would be in time to try
  drop_expired(device, now);
  Ns wait_until = kNsNever;
  if (device.takes_work() && device.has_room()) {
    if (device.waiting > 0 && probe(device, now)) return true;
    if (device.waiting > 0) drop_unreachable(device, now);
    if (device.waiting > 0) {
      if (Device* other = devices_.size() > 1 ? to_help(device, now, patience_ns(device, now)) : nullptr;
          other != nullptr && help(device, *other, now))
        return true;
      if (choose(device, now, wait_until) == Choice::kLaunch) return true;
    } else if (Device* other = to_help(device, now, 0); other != nullptr && help(device, *other, now)) {
      return true;
    }
    device.idle = device.waiting == 0;
  }
  // Expiry does not wait for the batch that runs.
  for (const auto& lanes : device.lanes)
    for (const Lane& lane : lanes)
      if (lane.head != kNil) wait_until = std::min(wait_until, frames_[lane.head].deadline);
  const TimePoint change = device.breaker.next_change();
  device.next_check = change == kNever ? wait_until : std::min(wait_until, to_ns(change));
  return false;
}

/// How long what waits here would take, where all of it would still be in time after two full batches of somebody
/// else's (one, and as much again for what is not foreseen); infinity otherwise.
double GantryPolicy::Impl::patience_ns(const Device& device, Ns now) const {
  for (int cls = 0; cls <= kUrgent; ++cls)
    if (device.waiting_of[cls] > 0) return kEndless;
  double own = 0;
  double foreign = 0;
  double next = 0;
  Ns tightest = kNsNever;
  for (const ShapeId shape : device.shapes) {
    const int full = latency_.max_batch(device.spec.id, shape);
    foreign = std::max(foreign, time_ns(device, shape, full));
    int count = 0;
    for (const Lane& lane : device.lanes[shape]) {
      count += lane.count;
      if (lane.head != kNil) tightest = std::min(tightest, frames_[lane.head].deadline);
    }
    if (count == 0) continue;
    own += count * time_ns(device, shape, full) / full;
    next += time_ns(device, shape, std::min(count, full));
  }
  return kPatience * foreign + next < static_cast<double>(tightest - now) ? own : kEndless;
}

/// A device taken for slow gets no work, and without work it could never show that it has recovered: now and then one
/// frame, of the lowest class and latest deadline, that the device as it was measured at first could still make.
bool GantryPolicy::Impl::probe(Device& device, Ns now) {
  if (!probe_due(device, now)) return false;
  for (int cls = kPriorityCount - 1; cls >= 0; --cls) {
    for (const ShapeId shape : device.shapes) {
      const Lane& lane = device.lanes[shape][cls];
      if (lane.tail == kNil) continue;
      if (static_cast<double>(frames_[lane.tail].deadline - now) < latency_.profiled_ns(device.spec.id, shape, 1))
        continue;
      picked_.assign(1, lane.tail);
      launch(device, shape, now);
      return true;
    }
  }
  return false;
}

bool GantryPolicy::Impl::probe_due(const Device& device, Ns now) const {
  return device.running_count == 0 && now - device.last_launch >= kProbeInterval &&
         latency_.slowdown(device.spec.id) >= kProbeSlowdown;
}

void GantryPolicy::Impl::drop_expired(Device& device, Ns now) {
  if (device.waiting == 0) return;
  for (auto& lanes : device.lanes)
    for (Lane& lane : lanes)
      while (lane.head != kNil && frames_[lane.head].deadline <= now) {
        const bool lost_out = frames_[lane.head].passed_over;
        device.losing_until[frames_[lane.head].cls] = now + kLosingHold;
        drop(lane.head, lost_out ? Outcome::kShed : Outcome::kExpired);
      }
}

/// Frames that would be late here even alone and at once: to a device that can still make it, or dropped.
void GantryPolicy::Impl::drop_unreachable(Device& device, Ns now) {
  for (std::size_t shape = 0; shape < device.lanes.size(); ++shape) {
    const auto id = static_cast<ShapeId>(shape);
    if (!latency_.knows(device.spec.id, id)) continue;
    const Ns end = now + static_cast<Ns>(time_ns(device, id, 1));
    for (Lane& lane : device.lanes[shape]) {
      while (lane.head != kNil && frames_[lane.head].deadline < end) {
        const FrameIndex index = lane.head;
        const WaitingFrame& frame = frames_[index];
        double finish = 0;
        DeviceId other = kNoDevice;
        if (devices_.size() > 1 && !cameras_[frame.camera].spec.pinned)
          other = best_device(id, frame.cls, now, device.spec.id, &finish);
        if (other != kNoDevice && finish < static_cast<double>(frame.deadline)) {
          unlink(index);
          enqueue(index, other);
        } else {
          device.losing_until[frame.cls] = now + kLosingHold;
          drop(index, frame.passed_over ? Outcome::kShed : Outcome::kPredictedLate);
        }
      }
    }
  }
}

double GantryPolicy::Impl::time_ns(const Device& device, ShapeId shape, int batch) const {
  return latency_.likely_ns(device.spec.id, shape, batch, config_.margin_sigmas);
}

GantryPolicy::Impl::Choice GantryPolicy::Impl::choose(Device& device, Ns now, Ns& wait_until) {
  for (int cls = 0; cls < kPriorityCount; ++cls) {
    if (device.waiting_of[cls] == 0) continue;
    const ShapeId shape = choose_shape(device, device, cls, now);
    if (shape == kMaxShapes) continue;
    const int cap = batch_cap(device, shape, now);
    pick(device, shape, cls, cap, now);
    if (picked_.empty()) continue;
    fill(device, device, shape, cls, cls + 1, cap, now);
    if (static_cast<int>(picked_.size()) < cap) {
      if (Device* other = devices_.size() > 1 ? to_help(device, now, 0) : nullptr; other != nullptr) {
        fill(device, *other, shape, cls, cls, cap, now);
      } else if (cls > kUrgent && !closed_) {
        wait_until = worth_waiting(device, shape, cap, now);
        if (wait_until > now) return Choice::kWait;
      }
    }
    launch(device, shape, now);
    return Choice::kLaunch;
  }
  return Choice::kNothing;
}

/// Runs a batch of another device's frames, and of its own in the places left.
bool GantryPolicy::Impl::help(Device& helper, Device& other, Ns now) {
  for (int cls = 0; cls < kPriorityCount; ++cls) {
    if (other.waiting_of[cls] == 0) continue;
    const ShapeId shape = choose_shape(helper, other, cls, now);
    if (shape == kMaxShapes) continue;
    picked_.clear();
    picked_deadline_ = kNsNever;
    fill(helper, other, shape, cls, cls, batch_cap(helper, shape, now), now);
    if (picked_.empty()) continue;
    fill(helper, helper, shape, cls, cls, batch_cap(helper, shape, now), now);
    launch(helper, shape, now);
    return true;
  }
  return false;
}
void GantryPolicy::Impl::launch(Device& runner, ShapeId shape, Ns now) {
  tickets_.clear();
  const double unit = fair_unit(now);
  RunningBatch& batch =
      *std::find_if(runner.running.begin(), runner.running.end(), [](const RunningBatch& b) { return !b.active; });
  batch.deadlines.clear();
  for (const FrameIndex index : picked_) {
    WaitingFrame& frame = frames_[index];
    tickets_.push_back(frame.ticket);
    batch.deadlines.push_back(frame.deadline);
    Camera& camera = cameras_[frame.camera];
    camera.attained += unit / camera.spec.weight;
    camera.last_served = now;
    devices_[frame.device].shares[shape].started += unit;
    unlink(index);
    forget(index);
  }
  const int size = static_cast<int>(picked_.size());
  batch.active = true;
  batch.lost = false;
  batch.id = next_batch_++;
  batch.shape = shape;
  batch.size = size;
  batch.started = now;
  batch.predicted_end = now + static_cast<Ns>(latency_.mean_ns(runner.spec.id, shape, size));
  ++runner.running_count;
  runner.last_launch = now;
  launch_ = Launch{batch.id, runner.spec.id, shape, tickets_, to_time(batch.predicted_end)};
}

}  // namespace gantry::scheduler
