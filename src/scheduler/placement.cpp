// Which device: homes of cameras, where a frame goes whose home would be late, and whom an idle device helps.
#include <algorithm>
#include <cmath>

#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr double kUnknownFps = 25;  // of a camera not yet seen
constexpr double kRebalance = 1.1;  // ratio of loads between devices above which cameras move when a device returns
constexpr double kOverdue = 0.1;    // of its length: how much longer a batch that is overdue is taken to run

}  // namespace

/// When the device can start its next batch.
Ns GantryPolicy::Impl::free_at(const Device& device, Ns now) const {
  if (device.has_room()) return now;
  Ns earliest = kNsNever;
  for (const RunningBatch& batch : device.running) {
    if (!batch.active || batch.lost) continue;
    const Ns end = batch.predicted_end > now
                       ? batch.predicted_end
                       : now + static_cast<Ns>(kOverdue * static_cast<double>(now - batch.started));
    earliest = std::min(earliest, end);
  }
  return earliest;
}

/// When a frame of this class would be finished if it came to the device now: after the batch that runs and what waits
/// of its class and above, in full batches, in the batch that then starts.
double GantryPolicy::Impl::predicted_finish(const Device& device, ShapeId shape, int cls, Ns now) const {
  const Ns start = free_at(device, now);
  if (start == kNsNever) return static_cast<double>(kNsNever);
  int ahead = 0;
  for (int c = 0; c <= cls; ++c) ahead += device.waiting_of[c];
  const int full = latency_.max_batch(device.spec.id, shape);
  const int rest = ahead % full;
  return static_cast<double>(start) +
         (ahead / full) * latency_.mean_ns(device.spec.id, shape, full) / device.spec.concurrent_batches +
         latency_.mean_ns(device.spec.id, shape, rest + 1);
}

DeviceId GantryPolicy::Impl::best_device(ShapeId shape, int cls, Ns now, DeviceId except, double* finish) const {
  DeviceId best = kNoDevice;
  double best_finish = static_cast<double>(kNsNever);
  for (const Device& device : devices_) {
    if (device.spec.id == except || !device.takes_cameras() || !latency_.knows(device.spec.id, shape)) continue;
    const double end = predicted_finish(device, shape, cls, now);
    if (end < best_finish) best = device.spec.id, best_finish = end;
  }
  if (finish != nullptr) *finish = best_finish;
  return best;
}

/// Frames a second at its best batch, the mean over its shapes.
double GantryPolicy::Impl::capacity_fps(const Device& device) const {
  double seconds = 0;
  for (const ShapeId shape : device.shapes) {
    const int batch = latency_.best_batch(device.spec.id, shape, device.spec.max_batch);
    seconds += latency_.mean_ns(device.spec.id, shape, batch) / batch / 1e9;
  }
  return seconds > 0 ? static_cast<double>(device.shapes.size()) * device.spec.concurrent_batches / seconds : 0;
}

double GantryPolicy::Impl::capacity_fps() const {
  double sum = 0;
  for (const Device& device : devices_)
    if (device.takes_work()) sum += capacity_fps(device);
  return sum;
}

/// The smallest batch with which the device keeps up with `growth` times what its cameras send, in its slowest shape.
int GantryPolicy::Impl::batch_for(const Device& device, double growth) const {
  int needed = 0;
  const double fps = device.demand_fps * growth / device.spec.concurrent_batches;
  for (const ShapeId shape : device.shapes) {
    int batch = 1;
    while (batch < device.spec.max_batch && batch * 1e9 < fps * latency_.mean_ns(device.spec.id, shape, batch)) ++batch;
    needed = std::max(needed, batch);
  }
  return needed;
}

/// Once a second: what part of the background will find no room in the next one.
void GantryPolicy::Impl::plan_load() {
  background_load_.poll(to_time(now_));
  const double capacity = capacity_fps();
  const double background = background_load_.demand_fps(LoadPredictor::kTick);
  const double excess = load_.demand_fps(LoadPredictor::kTick) - capacity;
  early_shed_ = capacity > 0 && background > 0 ? std::clamp(excess / background, 0.0, 1.0) : 0;
}

/// The configured home while it works; otherwise the device that would be least loaded with this camera on it.
DeviceId GantryPolicy::Impl::pick_home(const Camera& camera) const {
  const DeviceId wish = camera.spec.home;
  if (camera.spec.pinned) return wish < devices_.size() ? wish : kNoDevice;
  if (wish < devices_.size() && devices_[wish].takes_cameras()) return wish;
  const double fps = camera.beat.period_ns() > 0 ? 1e9 / camera.beat.period_ns() : kUnknownFps;
  DeviceId best = kNoDevice;
  double best_load = 0;
  for (const Device& device : devices_) {
    if (!device.takes_cameras()) continue;
    const double capacity = capacity_fps(device);
    const double load = device.load + fps / capacity;
    if (best == kNoDevice || load < best_load) best = device.spec.id, best_load = load;
  }
  return best;
}

/// Moves the camera and what it counts for; its waiting frames stay where they are.
void GantryPolicy::Impl::set_home(Camera& camera, DeviceId home, Ns now) {
  if (camera.home != kNoDevice) {
    forget_expected(camera);
    set_urgent(camera, false);
    Device& old = devices_[camera.home];
    old.cameras -= 1;
    old.demand_fps = old.cameras == 0 ? 0 : old.demand_fps - camera.load_fps;
    old.load = old.cameras == 0 ? 0 : old.load - camera.load_share;
  }
  camera.home = home;
  camera.load_fps = camera.beat.period_ns() > 0 ? 1e9 / camera.beat.period_ns() : kUnknownFps;
  camera.load_share = 0;
  if (home == kNoDevice) return;
  Device& device = devices_[home];
  const double capacity = capacity_fps(device);
  camera.load_share = capacity > 0 ? camera.load_fps / capacity : 0;
  device.cameras += 1;
  device.demand_fps += camera.load_fps;
  device.load += camera.load_share;
  set_urgent(camera, is_urgent(camera, now));
}

/// The device is going: its cameras and their waiting frames go to others.
void GantryPolicy::Impl::move_away(Device& device, Ns now) {
  for (Camera& camera : cameras_) {
    if (!camera.alive || camera.home != device.spec.id || camera.spec.pinned) continue;
    const DeviceId home = pick_home(camera);
    if (home != kNoDevice) set_home(camera, home, now);
  }
  for (Camera& camera : cameras_) {
    if (!camera.alive || camera.spec.pinned) continue;
    for (FrameIndex index = camera.first; index != kNil; index = frames_[index].camera_next) {
      const WaitingFrame& frame = frames_[index];
      if (frame.device != device.spec.id) continue;
      const DeviceId other =
          camera.home != kNoDevice && devices_[camera.home].takes_work() && latency_.knows(camera.home, frame.shape)
              ? camera.home
              : best_device(frame.shape, frame.cls, now, device.spec.id, nullptr);
      if (other == kNoDevice || other == device.spec.id) continue;
      unlink(index);
      enqueue(index, other);
    }
  }
}

/// Of a camera that is free to move: away from a home that takes none, to the one that it wishes for, or from a full
/// device to the emptiest where their loads differ by more than kRebalance.
void GantryPolicy::Impl::reconsider_home(Camera& camera, Ns now) {
  const bool homeless = camera.home == kNoDevice || !devices_[camera.home].takes_cameras();
  if (homeless || (camera.spec.home != kNoDevice && camera.spec.home != camera.home)) {
    const DeviceId home = pick_home(camera);
    if (home != camera.home && home != kNoDevice) set_home(camera, home, now);
    return;
  }
  if (camera.spec.home != kNoDevice) return;
  const Device* emptiest = nullptr;
  for (const Device& device : devices_)
    if (device.takes_cameras() && (emptiest == nullptr || device.load < emptiest->load)) emptiest = &device;
  if (emptiest == nullptr || emptiest->spec.id == camera.home) return;
  const double there = emptiest->load + camera.load_fps / capacity_fps(*emptiest);
  if (devices_[camera.home].load > kRebalance * there) set_home(camera, emptiest->spec.id, now);
}

/// A device came (back): the homeless move in first, then loads are evened out.
void GantryPolicy::Impl::rehome_strays(Ns now) {
  const auto homeless = [this](const Camera& camera) {
    return camera.home == kNoDevice || !devices_[camera.home].takes_cameras();
  };
  for (const bool first : {true, false})
    for (Camera& camera : cameras_)
      if (camera.alive && !camera.spec.pinned && homeless(camera) == first) reconsider_home(camera, now);
}

DeviceId GantryPolicy::Impl::home_of(CameraId id) const {
  const auto found = camera_index_.find(id);
  return found == camera_index_.end() ? kNoDevice : cameras_[found->second].home;
}

/// A device that has time takes from the one that is furthest behind: with more waiting than its next batch holds, or
/// whose frames would be late; and further behind than it is itself, by what its own frames need.
Device* GantryPolicy::Impl::to_help(const Device& helper, Ns now, double own_ns) {
  if (own_ns == kEndless) return nullptr;
  Device* neediest = nullptr;
  double worst = own_ns;
  for (Device& device : devices_) {
    if (device.spec.id == helper.spec.id || device.waiting == 0) continue;
    if (device.takes_work() && device.has_room()) continue;
    double delay = 0;
    bool needs_help = !device.takes_work() || helper.on_trial();
    for (const ShapeId shape : helper.shapes) {
      int count = 0;
      Ns tightest = kNsNever;
      for (const Lane& lane : device.lanes[shape]) {
        count += lane.count;
        if (lane.head != kNil) tightest = std::min(tightest, frames_[lane.head].deadline);
      }
      if (count == 0) continue;
      const int full = latency_.max_batch(device.spec.id, shape);
      const Ns free = free_at(device, now);
      if (full == 0 || free == kNsNever) {
        needs_help = true;
        continue;
      }
      const double end = static_cast<double>(free) + latency_.high_ns(device.spec.id, shape, std::min(count, full));
      needs_help = needs_help || count > full || end > static_cast<double>(tightest);
      delay = std::max(delay,
                       static_cast<double>(free - now) + count * latency_.mean_ns(device.spec.id, shape, full) / full);
    }
    if (needs_help && (delay > worst || (neediest == nullptr && own_ns == 0))) neediest = &device, worst = delay;
  }
  return neediest;
}

/// The busy device got a frame. If it is falling behind and somebody idles, have that one look.
void GantryPolicy::Impl::wake_helper(const Device& busy, ShapeId shape) {
  if (devices_.size() < 2 || (busy.has_room() && busy.takes_work())) return;
  for (Device& device : devices_) {
    if (!device.idle || device.spec.id == busy.spec.id || !latency_.knows(device.spec.id, shape)) continue;
    device.dirty = true;
    return;
  }
}

void GantryPolicy::Impl::report(PolicyReport& out, Ns now) const {
  static_cast<void>(now);
  out = PolicyReport{};
  out.demand_now_fps = load_.demand_fps(std::chrono::seconds{1});
  out.demand_5min_fps = load_.demand_fps(std::chrono::minutes{5});
  out.degrade_step = ladder_.step();
  out.degrade_reason = to_string(ladder_.reason());
  for (const Device& device : devices_) {
    if (!device.known) continue;
    DeviceReport entry;
    entry.id = device.spec.id;
    entry.state = device.state;
    entry.slowdown = latency_.slowdown(device.spec.id);
    entry.load = device.load;
    entry.cameras = device.cameras;
    entry.waiting = device.waiting;
    entry.running = device.running_count;
    entry.breaker = to_string(device.breaker.state());
    entry.breaker_reason = to_string(device.breaker.reason());
    entry.batch_now = batch_for(device, 1);
    entry.batch_5min = batch_for(device, out.demand_now_fps > 0 ? out.demand_5min_fps / out.demand_now_fps : 1);
    out.devices.push_back(entry);
  }
  out.capacity_fps = capacity_fps();
  out.early_shed = early_shed_;
  if (const auto peak = load_.peak(std::chrono::hours{24})) {
    out.demand_peak_fps = peak->fps;
    out.peak_at = peak->at;
  }
  out.headroom = out.capacity_fps > 0 ? 1 - out.demand_5min_fps / out.capacity_fps : 0;
}

}  // namespace gantry::scheduler
