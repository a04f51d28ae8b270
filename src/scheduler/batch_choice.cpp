// Which frames make the next batch of a device, and whether to start it now or wait for more.
#include <algorithm>
#include <array>
#include <cmath>

#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr int kUrgent = static_cast<int>(Priority::kUrgent);
constexpr Ns kOverloadHold = 250'000'000;  // how long after the last sign of it overload is taken to last
constexpr double kOverloadMargin = 0.05;   // of a batch's time, kept between its end and its frames' deadlines
constexpr double kRivals = 1.5;            // frames that compete under overload, over those that are wanted
constexpr double kMinRivals = 32;          // at least
constexpr double kFullBacklog = 0.95;      // of what the newest frame of a lane has left
constexpr double kRareUrgentFps = 0.05;    // fewer urgent frames than that are no reason to run smaller batches
constexpr std::size_t kMostUrgentDue = 128;
constexpr Ns kProbeInterval = 250'000'000;
constexpr double kProbeSlowdown = 1.2;
constexpr double kForwardDecayLimit = 500;  // exponent at which attained service is scaled back

constexpr int kSizeSteps[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256};

}  // namespace

Decision GantryPolicy::Impl::decide(Ns now) {
  launch_.reset();
  load_.poll(to_time(now));
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
  device.breaker.poll(to_time(now));
  drop_expired(device, now);
  Ns wait_until = kNsNever;
  if (device.takes_work() && device.has_room()) {
    if (device.waiting > 0 && probe(device, now)) return true;
    if (device.waiting > 0) drop_unreachable(device, now);
    if (device.waiting > 0) {
      if (choose(device, now, wait_until) == Choice::kLaunch) return true;
    } else if (Device* other = to_help(device, now); other != nullptr && help(device, *other, now)) {
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

/// A device taken for slow gets no work, and without work it could never show that it has recovered: now and then one
/// frame, of the lowest class and latest deadline, that the device as it was measured at first could still make.
bool GantryPolicy::Impl::probe(Device& device, Ns now) {
  if (device.running_count > 0 || now - device.last_launch < kProbeInterval ||
      latency_.slowdown(device.spec.id) < kProbeSlowdown)
    return false;
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

void GantryPolicy::Impl::drop_expired(Device& device, Ns now) {
  if (device.waiting == 0) return;
  for (auto& lanes : device.lanes)
    for (Lane& lane : lanes)
      while (lane.head != kNil && frames_[lane.head].deadline <= now) {
        const bool lost_out = frames_[lane.head].passed_over;
        device.losing_until[frames_[lane.head].cls] = now + kOverloadHold;
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
          device.losing_until[frame.cls] = now + kOverloadHold;
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
      if (Device* other = devices_.size() > 1 ? to_help(device, now) : nullptr; other != nullptr) {
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

/// Runs a batch of another device's frames.
bool GantryPolicy::Impl::help(Device& helper, Device& other, Ns now) {
  for (int cls = 0; cls < kPriorityCount; ++cls) {
    if (other.waiting_of[cls] == 0) continue;
    const ShapeId shape = choose_shape(helper, other, cls, now);
    if (shape == kMaxShapes) continue;
    picked_.clear();
    picked_deadline_ = kNsNever;
    fill(helper, other, shape, cls, cls, batch_cap(helper, shape, now), now);
    if (picked_.empty()) continue;
    launch(helper, shape, now);
    return true;
  }
  return false;
}

/// The shape whose batch does most frames a second, among those after which every other shape's earliest frame can
/// still make it. Where there is none, the shape of the earliest frame; but while frames are being lost anyway, the one
/// that does most frames a second, times what share of its frames it was denied of late.
ShapeId GantryPolicy::Impl::choose_shape(const Device& runner, const Device& source, int cls, Ns now) const {
  ShapeId best = kMaxShapes;
  ShapeId earliest = kMaxShapes;
  ShapeId fairest = kMaxShapes;
  double best_rate = 0;
  double fairest_rate = 0;
  Ns earliest_deadline = kNsNever;
  const bool losing = now < source.losing_until[cls];
  for (const ShapeId shape : runner.shapes) {
    const Lane& lane = source.lanes[shape][cls];
    if (lane.count == 0) continue;
    if (runner.shapes.size() == 1) return shape;
    if (frames_[lane.head].deadline < earliest_deadline)
      earliest = shape, earliest_deadline = frames_[lane.head].deadline;
    const int most = latency_.max_batch(runner.spec.id, shape);
    int count = 0;
    for (int c = cls; c < kPriorityCount; ++c) count += source.lanes[shape][c].count;
    count = std::min(count, most);
    const double own = time_ns(runner, shape, count);
    bool harmless = true;
    for (const ShapeId other : runner.shapes) {
      const Lane& waiting = source.lanes[other][cls];
      if (other == shape || waiting.count == 0) continue;
      const int size = std::min(waiting.count, latency_.max_batch(runner.spec.id, other));
      harmless = harmless && static_cast<double>(now) + own + time_ns(runner, other, size) <=
                                 static_cast<double>(frames_[waiting.head].deadline);
    }
    if (harmless && count / own > best_rate) best = shape, best_rate = count / own;
    if (!losing) continue;
    int in_time = lane.count;
    for (FrameIndex index = lane.head; index != kNil && frames_[index].deadline < now + static_cast<Ns>(own);
         index = frames_[index].lane_next)
      --in_time;
    in_time = std::min(in_time, most);
    if (in_time == 0) continue;
    const Device::ShapeShare& share = source.shares[shape];
    const double denied = (share.arrived + 1) / (share.started + 1);
    const double rate = in_time / time_ns(runner, shape, in_time) * denied;
    if (rate > fairest_rate) fairest = shape, fairest_rate = rate;
  }
  if (best != kMaxShapes) return best;
  return fairest != kMaxShapes ? fairest : earliest;
}

/// Time that a batch may take so that an urgent frame that comes meanwhile can still be run after it. Urgent cameras
/// with a steady beat are expected from the earliest time at which they may come, others at any moment.
double GantryPolicy::Impl::urgent_limit_ns(const Device& runner, ShapeId shape, Ns now) {
  const DeviceId id = runner.spec.id;
  const int most = latency_.max_batch(id, shape);
  const auto serve = [&](double count) {
    return latency_.high_ns(id, shape, std::clamp(static_cast<int>(std::ceil(count)), 1, most));
  };
  double random_fps = 0;
  double random_slack = static_cast<double>(kNsNever);
  if (const RandomUrgent& random = runner.random_urgent; random.slack_ns > 0) {
    random_fps = random.fps * std::exp(static_cast<double>(random.last - now) / kRandomMemory);
    if (random_fps > kRareUrgentFps)
      random_slack = random.slack_ns;
    else
      random_fps = 0;
  }
  urgent_due_.clear();
  for (const CameraIndex index : runner.urgent_cameras) {
    const Camera& camera = cameras_[index];
    if (camera.slack_ns <= 0) continue;
    if (camera.beat.steady() && runner.urgent_cameras.size() <= kMostUrgentDue) {
      urgent_due_.push_back({camera.beat.earliest(now), camera.slack_ns});
    } else {
      random_fps += camera.load_fps;
      random_slack = std::min(random_slack, camera.slack_ns);
    }
  }
  double limit = static_cast<double>(kNsNever);
  if (random_fps > 0) limit = random_slack - serve(random_fps * (random_slack - serve(1)) / 1e9);
  // The n-th that may come before the batch ends is served with those before it.
  std::sort(urgent_due_.begin(), urgent_due_.end(),
            [](const UrgentDue& a, const UrgentDue& b) { return a.earliest < b.earliest; });
  for (std::size_t n = 0; n < urgent_due_.size(); ++n) {
    const auto wait = static_cast<double>(urgent_due_[n].earliest - now);
    if (wait > limit) break;
    const double first = n == 0 ? wait : static_cast<double>(urgent_due_[0].earliest - now);
    limit = std::min({limit, wait + urgent_due_[n].slack_ns - serve(1),
                      first + urgent_due_[0].slack_ns - serve(static_cast<double>(n) + 1)});
  }
  return limit;
}

/// The largest batch that the runner may start now, 1 at least.
int GantryPolicy::Impl::batch_cap(Device& runner, ShapeId shape, Ns now) {
  const DeviceId id = runner.spec.id;
  if (runner.on_trial()) return 1;
  int cap = latency_.max_batch(id, shape);
  if (ladder_.step() >= DegradeLadder::kSmallerBatches) cap = std::max(1, cap / 2);
  const double limit = urgent_limit_ns(runner, shape, now);
  // With fewer than two batches of one in an urgent deadline, no cap could protect it.
  if (limit < static_cast<double>(kNsNever))
    cap = std::clamp(latency_.largest_batch(id, shape, limit, latency_.high_factor(id, shape)), 1, cap);
  return latency_.best_batch(id, shape, cap);
}

/// Fills picked_ with the frames of class `cls` that make the best batch of at most `cap`, then with lower classes.
void GantryPolicy::Impl::pick(Device& device, ShapeId shape, int cls, int cap, Ns now) {
  picked_.clear();
  picked_deadline_ = kNsNever;
  const Lane& lane = device.lanes[shape][cls];
  const int want = std::min(lane.count, cap);
  const auto batch_ns = static_cast<Ns>(time_ns(device, shape, want));
  const Ns end = now + batch_ns;
  if (lane.count > cap) {
    // Frames too early for this batch, and frames that make it in this batch and would be late in the next.
    int tight = 0;
    int must = 0;
    for (FrameIndex index = lane.head; index != kNil && frames_[index].deadline < end + batch_ns;
         index = frames_[index].lane_next)
      ++(frames_[index].deadline < end ? tight : must);
    if (must > cap) device.overloaded_until[cls] = now + kOverloadHold;
    if (overloaded(device, shape, cls, cap, must, now) && lane.count - tight >= cap) {
      // Frames are plenty here, so those keep a margin that the batch could overrun.
      pick_fair(lane, cap, end + static_cast<Ns>(kOverloadMargin * static_cast<double>(batch_ns)), false);
      return;
    }
    if (now < device.losing_until[cls] && lane.count - tight >= cap) {
      // A full batch of those in time for it; saving the tight ones with small batches would lose more than them.
      FrameIndex index = lane.head;
      while (frames_[index].deadline < end) index = frames_[index].lane_next;
      picked_deadline_ = frames_[index].deadline;
      for (int i = 0; i < cap; ++i, index = frames_[index].lane_next) picked_.push_back(index);
      return;
    }
  }
  if (frames_[lane.head].deadline >= end) {
    for (FrameIndex index = lane.head; static_cast<int>(picked_.size()) < want; index = frames_[index].lane_next)
      picked_.push_back(index);
    picked_deadline_ = frames_[lane.head].deadline;
  } else {
    pick_tight(device, lane, shape, cap, now < device.losing_until[cls], now);
  }
}

/// Whether frames of this lane will be lost whatever is done: some would be late in the next batch already, or they
/// were lately and the time that all of them need is about what the newest has left.
bool GantryPolicy::Impl::overloaded(const Device& device, ShapeId shape, int cls, int cap, int must, Ns now) const {
  if (must > cap) return true;
  if (now >= device.overloaded_until[cls]) return false;
  const Lane& lane = device.lanes[shape][cls];
  const double batch = time_ns(device, shape, cap);
  const double left = static_cast<double>(frames_[lane.tail].deadline - now) - batch;
  return lane.count * batch / cap >= kFullBacklog * left;
}

/// The `want` frames of those cameras that got least so far, among the earliest frames with deadlines from `not_before`
/// on. Only the earliest compete, so that the order stays near the deadlines', the backlog stays fresh, and the cost
/// does not grow with it. Those that miss out are marked, so that their end says why.
void GantryPolicy::Impl::pick_fair(const Lane& lane, int want, Ns not_before, bool movable) {
  const double unit = fair_unit(now_);
  const auto rivals = static_cast<std::size_t>(std::max(kRivals * want, kMinRivals));
  scored_.clear();
  ++mark_;
  for (FrameIndex index = lane.head; index != kNil; index = frames_[index].lane_next) {
    WaitingFrame& frame = frames_[index];
    Camera& camera = cameras_[frame.camera];
    if (frame.deadline < not_before || (movable && camera.spec.pinned)) continue;
    if (scored_.size() >= rivals) break;
    if (camera.mark != mark_) camera.mark = mark_, camera.marked = 0;
    scored_.push_back({camera.attained + camera.marked++ * unit / camera.spec.weight, index});
  }
  const auto by_key = [&](const Scored& a, const Scored& b) {
    if (a.key != b.key) return a.key < b.key;
    return frames_[a.frame].deadline < frames_[b.frame].deadline;
  };
  want = std::min(want, static_cast<int>(scored_.size()));
  if (want == 0) return;
  std::nth_element(scored_.begin(), scored_.begin() + (want - 1), scored_.end(), by_key);
  for (int i = 0; i < want; ++i) {
    picked_.push_back(scored_[i].frame);
    picked_deadline_ = std::min(picked_deadline_, frames_[scored_[i].frame].deadline);
  }
  for (std::size_t i = want; i < scored_.size(); ++i) frames_[scored_[i].frame].passed_over = true;
}

/// The earliest frames are too tight for a batch of all. Tries batch sizes; each leaves out those it would be too slow
/// for. Takes the one after which most frames, its own and those of the batch after it, are in time; under overload a
/// device's time is worth what it could do with it.
void GantryPolicy::Impl::pick_tight(const Device& runner, const Lane& lane, ShapeId shape, int cap, bool overloaded,
                                    Ns now) {
  deadlines_.clear();
  for (FrameIndex index = lane.head; index != kNil && static_cast<int>(deadlines_.size()) < 2 * cap;
       index = frames_[index].lane_next)
    deadlines_.push_back(frames_[index].deadline);
  const auto from = [&](double end) {
    return static_cast<int>(std::lower_bound(deadlines_.begin(), deadlines_.end(), static_cast<Ns>(end)) -
                            deadlines_.begin());
  };
  const int all = static_cast<int>(deadlines_.size());
  const double worth = overloaded ? cap / time_ns(runner, shape, cap) : 0;
  double best_score = 0;
  double best_time = 0;
  int best_skip = 0;
  int best_size = 0;
  for (const int step : kSizeSteps) {
    const int size = std::min({step, cap, all});
    const double time = time_ns(runner, shape, size);
    const int skip = from(static_cast<double>(now) + time);
    const int run = std::min(size, all - skip);
    if (run > 0) {
      const double run_time = run == size ? time : time_ns(runner, shape, run);
      const int rest = std::min(cap, all - skip - run);
      int rest_met = 0;
      double rest_time = 0;
      if (rest > 0) {
        rest_time = time_ns(runner, shape, rest);
        const int rest_skip = std::max(from(static_cast<double>(now) + run_time + rest_time), skip + run);
        rest_met = std::min(rest, all - rest_skip);
      }
      const double total = run_time + rest_time;
      const double score = run + rest_met - worth * total;
      if (best_size == 0 || score > best_score + 1e-9 || (score > best_score - 1e-9 && total < best_time))
        best_score = score, best_time = total, best_skip = skip, best_size = run;
    }
    if (step >= cap || step >= all) break;
  }
  FrameIndex index = lane.head;
  for (int i = 0; i < best_skip; ++i) index = frames_[index].lane_next;
  for (int i = 0; i < best_size; ++i, index = frames_[index].lane_next) {
    picked_.push_back(index);
    picked_deadline_ = std::min(picked_deadline_, frames_[index].deadline);
  }
}

/// Places left in the batch go to frames of classes from `from_cls` on of the same shape, as far as nobody picked
/// becomes late by it: the runner's own lower classes, or frames of a device that is behind.
void GantryPolicy::Impl::fill(const Device& runner, Device& source, ShapeId shape, int cls, int from_cls, int cap,
                              Ns now) {
  const DeviceId id = runner.spec.id;
  const bool foreign = &runner != &source;
  for (int lower = from_cls; lower < kPriorityCount; ++lower) {
    const Lane& lane = source.lanes[shape][lower];
    const int have = static_cast<int>(picked_.size());
    if (lane.count == 0 || have >= cap) continue;
    const double factor =
        cls <= kUrgent ? latency_.high_factor(id, shape) : latency_.likely_factor(id, shape, config_.margin_sigmas);
    const int room =
        picked_.empty() ? cap : latency_.largest_batch(id, shape, static_cast<double>(picked_deadline_ - now), factor);
    int want = std::min({room, cap, have + lane.count}) - have;
    if (want <= 0) continue;
    const Ns end = now + static_cast<Ns>(time_ns(runner, shape, have + want));
    FrameIndex index = lane.head;
    int in_time = lane.count;
    for (; index != kNil && frames_[index].deadline < end; index = frames_[index].lane_next) --in_time;
    if (in_time > want && now < source.overloaded_until[lower]) {
      pick_fair(lane, want, end, foreign);
      continue;
    }
    for (; want > 0 && index != kNil; index = frames_[index].lane_next) {
      if (foreign && cameras_[frames_[index].camera].spec.pinned) continue;
      picked_.push_back(index);
      picked_deadline_ = std::min(picked_deadline_, frames_[index].deadline);
      --want;
    }
  }
}

/// Deferred batching. Compares starting the picked frames now, and the next k expected ones in a batch of their own
/// when the device is free again, with one batch of all when the k-th has come, by the sum of finishing times. Returns
/// the time to look again, `now` where starting at once is best for every k.
Ns GantryPolicy::Impl::worth_waiting(Device& runner, ShapeId shape, int cap, Ns now) {
  PhaseWheel& wheel = runner.wheels[shape];
  wheel.advance(now);
  if (wheel.total() == 0) return now;
  const DeviceId id = runner.spec.id;
  const int ready = static_cast<int>(picked_.size());
  const double now_ns = latency_.mean_ns(id, shape, ready);
  const double slack = static_cast<double>(picked_deadline_ - now);
  const double horizon = std::min(now_ns, static_cast<double>(config_.max_wait.count()));
  int more = 0;
  double best_gain = 0;
  Ns best_time = now;
  wheel.each(now, now + static_cast<Ns>(horizon), [&](Ns due, int count) {
    more = std::min(more + count, cap - ready);
    const auto wait = static_cast<double>(due - now);
    const double together = wait + latency_.mean_ns(id, shape, ready + more);
    if (wait + time_ns(runner, shape, ready + more) > slack) return false;
    const double apart = ready * now_ns + more * (std::max(now_ns, wait) + latency_.mean_ns(id, shape, more));
    const double gain = apart - (ready + more) * together;
    if (gain > best_gain) best_gain = gain, best_time = due + PhaseWheel::kWidth;
    return ready + more < cap;
  });
  return best_time;
}

/// What one frame started now adds to its camera's attained service, for weight 1. Attained service decays with
/// fairness_memory; instead of shrinking all cameras' values, the unit grows (forward decay).
double GantryPolicy::Impl::fair_unit(Ns now) {
  const auto memory = static_cast<double>(config_.fairness_memory.count());
  if (epoch_ == std::numeric_limits<Ns>::min()) epoch_ = now;
  const double exponent = static_cast<double>(now - epoch_) / memory;
  if (exponent < kForwardDecayLimit) return std::exp(exponent);
  const double scale = std::exp(-exponent);
  for (Camera& camera : cameras_) camera.attained *= scale;
  for (Device& device : devices_)
    for (auto& share : device.shares) share.arrived *= scale, share.started *= scale;
  epoch_ = now;
  return 1;
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
