// What the next batch of a device may be: which shape, how large, and whether waiting for more frames pays.
#include <algorithm>
#include <cmath>

#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr double kRareUrgentFps = 0.05;  // fewer urgent frames than that are no reason to run smaller batches
constexpr std::size_t kMostUrgentDue = 128;

}  // namespace

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

/// Urgent frames a second of cameras that usually are not; 0 where they are too few to be a reason for anything.
double GantryPolicy::Impl::random_urgent_fps(const Device& device, Ns now) const {
  const RandomUrgent& random = device.random_urgent;
  if (random.slack_ns <= 0) return 0;
  const double fps = random.fps * std::exp(static_cast<double>(random.last - now) / kRandomMemory);
  return fps > kRareUrgentFps ? fps : 0;
}

bool GantryPolicy::Impl::expects_urgent(const Device& device, Ns now) const {
  return !device.urgent_cameras.empty() || random_urgent_fps(device, now) > 0;
}

/// Time that a batch may take so that an urgent frame that comes meanwhile can still be run after it. Urgent cameras
/// with a steady beat are expected from the earliest time at which they may come, others at any moment.
double GantryPolicy::Impl::urgent_limit_ns(const Device& runner, ShapeId shape, Ns now) {
  const DeviceId id = runner.spec.id;
  const int most = latency_.max_batch(id, shape);
  const auto serve = [&](double count) {
    return latency_.high_ns(id, shape, std::clamp(static_cast<int>(std::ceil(count)), 1, most));
  };
  double random_fps = random_urgent_fps(runner, now);
  double random_slack = random_fps > 0 ? runner.random_urgent.slack_ns : static_cast<double>(kNsNever);
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

}  // namespace gantry::scheduler
