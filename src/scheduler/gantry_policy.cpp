#include "gantry/scheduler/gantry_policy.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/core/expects.hpp"
#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr double kSlackGain = 0.02;  // how slowly the shortest slack is forgotten
constexpr int kMaxRandomDepth = 32;  // waiting frames of a camera without a beat
constexpr int kMaxDepth = 8;
constexpr int kMaxEmergencyDepth = 256;  // never superseded, but bounded
constexpr double kUnknownFps = 25;       // of a camera not yet seen, for placement

/// Follows `value` down at once and up slowly.
void lower_slowly(double& low, double value) {
  low = low <= 0 || value < low ? value : low + kSlackGain * (value - low);
}

}  // namespace

GantryPolicy::Impl::Impl(const PolicyConfig& config) : config_(config) {
  urgent_due_.reserve(kMaxBatch);
  GANTRY_EXPECTS(config.max_wait >= Duration::zero() && config.max_wait <= std::chrono::milliseconds{50},
                 "max_wait must be 0 to 50 ms");
  GANTRY_EXPECTS(config.ageing > Duration::zero() && config.fairness_memory > Duration::zero(),
                 "ageing and fairness_memory must be longer than zero");
  GANTRY_EXPECTS(config.margin_sigmas >= 0, "margin_sigmas must not be negative");
}

// -- set-up

void GantryPolicy::Impl::add_device(const DeviceSpec& spec, Ns now) {
  GANTRY_EXPECTS(spec.id < kMaxDevices, "at most 1024 devices");
  GANTRY_EXPECTS(spec.max_batch >= 1 && spec.max_batch <= kMaxBatch, "a device's max_batch must be 1 to 256");
  GANTRY_EXPECTS(spec.concurrent_batches >= 1 && spec.concurrent_batches <= 16,
                 "a device runs 1 to 16 batches at the same time");
  if (devices_.size() <= spec.id) devices_.resize(spec.id + 1U);
  Device& device = devices_[spec.id];
  device.spec = spec;
  device.known = true;
  device.running.resize(static_cast<std::size_t>(spec.concurrent_batches));
  for (RunningBatch& batch : device.running) batch.deadlines.reserve(kMaxBatch);
  device.dirty = true;
  if (shapes_ > 0) prepare_lanes(device, static_cast<ShapeId>(shapes_ - 1));
  for (std::size_t id = 0; id < devices_.size(); ++id) devices_[id].spec.id = static_cast<DeviceId>(id);
  rehome_strays(now);
}

void GantryPolicy::Impl::prepare_lanes(Device& device, ShapeId shape) {
  if (device.lanes.size() > shape) return;
  device.lanes.resize(shape + 1U);
  device.wheels.resize(shape + 1U);
  device.shares.resize(shape + 1U);
}

void GantryPolicy::Impl::set_profile(DeviceId id, ShapeId shape, std::span<const LatencyPoint> points) {
  GANTRY_EXPECTS(id < devices_.size() && devices_[id].known, "set_profile of a device that was not added");
  latency_.set_profile(id, shape, devices_[id].spec.max_batch, points);
  shapes_ = std::max<std::size_t>(shapes_, shape + 1U);
  for (Device& device : devices_) prepare_lanes(device, static_cast<ShapeId>(shapes_ - 1));
  auto& shapes = devices_[id].shapes;
  if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  devices_[id].dirty = true;
  rehome_strays(now_);
}

void GantryPolicy::Impl::set_camera(const CameraSpec& spec, Ns now) {
  GANTRY_EXPECTS(spec.weight > 0, "a camera's weight must be above 0");
  GANTRY_EXPECTS(!spec.pinned || spec.home != kNoDevice, "a pinned camera needs a home device");
  Camera* camera = find_camera(spec.id);
  const bool fresh = camera == nullptr;
  if (fresh) {
    CameraIndex index;
    if (free_cameras_.empty()) {
      index = static_cast<CameraIndex>(cameras_.size());
      cameras_.emplace_back();
    } else {
      index = free_cameras_.back();
      free_cameras_.pop_back();
    }
    camera_index_[spec.id] = index;
    camera = &cameras_[index];
    *camera = Camera{};
    camera->alive = true;
    camera->last_served = now;
  }
  const bool move = fresh || (spec.home != kNoDevice && spec.home != camera->home);
  camera->spec = spec;
  if (spec.period > Duration::zero()) camera->beat.set_period(static_cast<double>(spec.period.count()));
  if (fresh && spec.deadline > Duration::zero()) camera->slack_ns = static_cast<double>(spec.deadline.count());
  if (move)
    set_home(*camera, pick_home(*camera), now);
  else if (!spec.pinned)
    reconsider_home(*camera, now);
  set_urgent(*camera, is_urgent(*camera, now));
  const auto wanted = camera_index_.size() * kMaxDepth;
  if (frames_.size() < wanted) {
    frames_.reserve(wanted);
    drops_.reserve(wanted);
    drops_out_.reserve(wanted);
    scored_.reserve(wanted);
    picked_.reserve(kMaxBatch);
    deadlines_.reserve(2 * kMaxBatch);
    tickets_.reserve(kMaxBatch);
  }
}

void GantryPolicy::Impl::remove_camera(CameraId id, Ns now) {
  Camera* camera = find_camera(id);
  if (camera == nullptr) return;
  while (camera->first != kNil) drop(camera->first, Outcome::kCameraRemoved);
  set_home(*camera, kNoDevice, now);
  camera->alive = false;
  free_cameras_.push_back(static_cast<CameraIndex>(camera - cameras_.data()));
  camera_index_.erase(id);
}

// -- events

Camera* GantryPolicy::Impl::find_camera(CameraId id) {
  const auto found = camera_index_.find(id);
  return found == camera_index_.end() ? nullptr : &cameras_[found->second];
}

int GantryPolicy::Impl::effective_class(const Camera& camera, Priority priority, Ns now) const {
  int cls = static_cast<int>(priority);
  if (now < camera.boost_until) cls = std::min(cls, static_cast<int>(camera.boost_class));
  // Ageing: who went without for long is raised, up to urgent.
  const Ns unserved = now - camera.last_served;
  const auto steps = static_cast<int>(std::min<Ns>(unserved / config_.ageing.count(), 2));
  return cls <= kUrgent ? cls : std::max(kUrgent, cls - steps);
}

int GantryPolicy::Impl::slot_depth(const Camera& camera) const {
  if (camera.spec.slot_depth > 0) return camera.spec.slot_depth;
  const double period = camera.beat.period_ns();
  if (period <= 0 || !camera.beat.steady()) return kMaxRandomDepth;
  return static_cast<int>(std::clamp(std::ceil(camera.slack_ns / period), 1.0, double{kMaxDepth}));
}

/// For a newer one. False where none waits that may be dropped: emergency frames are never superseded.
bool GantryPolicy::Impl::drop_oldest(const Camera& camera) {
  FrameIndex oldest = camera.first;
  while (oldest != kNil && frames_[oldest].cls == static_cast<int>(Priority::kEmergency))
    oldest = frames_[oldest].camera_next;
  if (oldest == kNil) return false;
  drop(oldest, Outcome::kSuperseded);
  return true;
}

void GantryPolicy::Impl::on_arrival(const Arrival& arrival, Ns now) {
  Camera* camera = find_camera(arrival.camera);
  if (camera == nullptr) {
    drops_.push_back({arrival.frame, Outcome::kCameraRemoved});
    return;
  }
  const bool ahead = !camera->allowance.take(camera->beat, now);
  learn_arrival(*camera, arrival, now);
  const int cls = effective_class(*camera, arrival.priority, now);
  if (load_.poll(to_time(now))) plan_load();
  load_.on_arrivals(1, to_time(now));
  if (cls == kBackground) background_load_.on_arrivals(1, to_time(now));
  if (shed_by_ladder(*camera, cls) || shed_early(*camera, cls)) {
    drops_.push_back({arrival.frame, Outcome::kShed});
    return;
  }
  const bool emergency = cls == static_cast<int>(Priority::kEmergency);
  if (emergency) {
    if (camera->waiting >= kMaxEmergencyDepth) drop(camera->first, Outcome::kShed);
  } else if (ahead && camera->spec.slot_depth == 0) {
    // A backlog: it gets no more places than it has, its newest frames those. With none waiting, what it was allowed
    // runs already.
    if (!drop_oldest(*camera)) {
      drops_.push_back({arrival.frame, Outcome::kSuperseded});
      return;
    }
  } else {
    for (const int depth = slot_depth(*camera); camera->waiting >= depth;)
      if (!drop_oldest(*camera)) break;
  }

  DeviceId target = camera->home;
  const bool pinned = camera->spec.pinned;
  const auto deadline = static_cast<double>(to_ns(arrival.deadline));
  const bool home_runs_it = target != kNoDevice && latency_.knows(target, arrival.shape);
  // A home that was slow gets this one to show whether it still is; never an urgent one.
  const bool to_probe = home_runs_it && cls > kUrgent && devices_[target].waiting == 0 &&
                        probe_due(devices_[target], now) && devices_[target].takes_work() &&
                        static_cast<double>(now) + latency_.profiled_ns(target, arrival.shape, 1) < deadline;
  if (!pinned && !to_probe &&
      (!home_runs_it || !devices_[target].takes_work() ||
       predicted_finish(devices_[target], arrival.shape, cls, now) > deadline)) {
    // Home would be late: whoever finishes first takes it, if that is in time or home cannot run it at all.
    double finish = 0;
    const DeviceId other = best_device(arrival.shape, cls, now, target, &finish);
    if (other != kNoDevice && (!home_runs_it || !devices_[target].takes_work() || finish <= deadline)) target = other;
  }
  if (target == kNoDevice || !latency_.knows(target, arrival.shape)) {
    drops_.push_back({arrival.frame, Outcome::kPredictedLate});  // no device runs this shape
    return;
  }

  const FrameIndex index = frames_.acquire();
  WaitingFrame& frame = frames_[index];
  frame.ticket = arrival.frame;
  frame.deadline = to_ns(arrival.deadline);
  frame.camera = static_cast<CameraIndex>(camera - cameras_.data());
  frame.shape = arrival.shape;
  frame.cls = static_cast<std::uint8_t>(cls);
  frame.camera_prev = camera->last;
  (camera->last == kNil ? camera->first : frames_[camera->last].camera_next) = index;
  camera->last = index;
  ++camera->waiting;
  enqueue(index, target);
  devices_[target].shares[arrival.shape].arrived += fair_unit(now);
  if (!pinned) wake_helper(devices_[target], arrival.shape);
}

void GantryPolicy::Impl::learn_arrival(Camera& camera, const Arrival& arrival, Ns now) {
  camera.shape = arrival.shape;
  const auto slack = std::max(0.0, static_cast<double>(to_ns(arrival.deadline) - now));
  lower_slowly(camera.slack_ns, slack);
  if (!camera.beat.known()) camera.last_served = now;  // ageing counts from the first frame
  camera.beat.arrive(now);
  if (camera.home == kNoDevice) return;

  Device& home = devices_[camera.home];
  set_urgent(camera, is_urgent(camera, now));
  const Priority own = std::min(arrival.priority, now < camera.boost_until ? camera.boost_class : arrival.priority);
  if (own <= Priority::kUrgent && !camera.urgent) {
    RandomUrgent& random = home.random_urgent;
    const double passed = std::min(static_cast<double>(now - random.last), 10 * kRandomMemory);
    random.fps = random.fps * std::exp(-passed / kRandomMemory) + 1e9 / kRandomMemory;
    random.last = now;
    lower_slowly(random.slack_ns, slack);
  }
  const double fps = camera.beat.period_ns() > 0 ? 1e9 / camera.beat.period_ns() : kUnknownFps;
  if (std::abs(fps - camera.load_fps) > 0.1 * camera.load_fps) set_home(camera, camera.home, now);
  expect_next(camera, now);
}

bool GantryPolicy::Impl::is_urgent(const Camera& camera, Ns now) const {
  return camera.spec.priority <= Priority::kUrgent ||
         (now < camera.boost_until && camera.boost_class <= Priority::kUrgent);
}

void GantryPolicy::Impl::set_urgent(Camera& camera, bool urgent) {
  if (camera.urgent == urgent || camera.home == kNoDevice) return;
  camera.urgent = urgent;
  auto& list = devices_[camera.home].urgent_cameras;
  const auto index = static_cast<CameraIndex>(&camera - cameras_.data());
  if (urgent)
    list.push_back(index);
  else
    list.erase(std::find(list.begin(), list.end(), index));
}

void GantryPolicy::Impl::forget_expected(Camera& camera) {
  if (camera.home != kNoDevice && camera.expected != PhaseWheel::kNone)
    devices_[camera.home].wheels[camera.expected_shape].cancel(camera.expected);
  camera.expected = PhaseWheel::kNone;
}

void GantryPolicy::Impl::expect_next(Camera& camera, Ns now) {
  forget_expected(camera);
  if (!camera.beat.steady()) return;
  camera.expected_shape = camera.shape;
  camera.expected = devices_[camera.home].wheels[camera.shape].expect(camera.beat.next(), now);
}

void GantryPolicy::Impl::on_completion(const Completion& completion, Ns now) {
  if (completion.device >= devices_.size()) return;
  Device& device = devices_[completion.device];
  const auto batch = std::find_if(device.running.begin(), device.running.end(), [&](const RunningBatch& running) {
    return running.active && running.id == completion.batch;
  });
  if (batch == device.running.end()) return;
  device.dirty = true;
  if (!batch->lost) {
    const auto before = device.breaker.state();
    const auto late = std::count_if(batch->deadlines.begin(), batch->deadlines.end(), [&](Ns d) { return d < now; });
    device.breaker.on_batch(completion.status, 2 * late > batch->size, to_time(now));
    ladder_.on_batch(completion.status, batch->size, static_cast<int>(late), to_time(now));
    if (completion.status == BatchStatus::kOk)
      latency_.observe(completion.device, batch->shape, batch->size, static_cast<double>(now - batch->started));
    breaker_changed(device, before, now);
  }
  batch->lost = completion.status == BatchStatus::kTimeout;
  if (batch->lost) return;  // keeps its place until it does come back
  batch->active = false;
  --device.running_count;
}

/// An open breaker moves the device's cameras like its death; a closed one lets them come back.
void GantryPolicy::Impl::breaker_changed(Device& device, CircuitBreaker::State before, Ns now) {
  const auto state = device.breaker.state();
  if (state == before) return;
  device.dirty = true;
  if (state == CircuitBreaker::State::kOpen) move_away(device, now);
  if (state == CircuitBreaker::State::kClosed) rehome_strays(now);
}

void GantryPolicy::Impl::on_memory(DeviceId id, double used, Ns now) {
  if (id == kNoDevice) {
    ladder_.on_memory(used, to_time(now));
    return;
  }
  if (id >= devices_.size() || !devices_[id].known) return;
  Device& device = devices_[id];
  const auto before = device.breaker.state();
  device.breaker.on_memory(used, to_time(now));
  device.dirty = true;  // room again may let it try
  breaker_changed(device, before, now);
}

/// What the degrade ladder gives up on arrival.
bool GantryPolicy::Impl::shed_by_ladder(Camera& camera, int cls) const {
  const int step = ladder_.step();
  if (step == DegradeLadder::kNone || cls <= kUrgent) return false;
  if (step >= DegradeLadder::kOpen || cls == kBackground) return true;
  if (step < DegradeLadder::kLowerRate) return false;
  camera.skip_next = !camera.skip_next;
  return !camera.skip_next;
}

/// The part of the background that the forecast has no room for, evenly of each camera, before it takes a place or
/// device time. Classes above are not touched: who of them loses is decided fairly when a batch is made.
bool GantryPolicy::Impl::shed_early(Camera& camera, int cls) const {
  if (early_shed_ <= 0 || cls != kBackground) return false;
  camera.shed_due += early_shed_;
  if (camera.shed_due < 1) return false;
  camera.shed_due -= 1;
  return true;
}

void GantryPolicy::Impl::on_device_state(DeviceId id, DeviceState state, Ns now) {
  if (id >= devices_.size() || !devices_[id].known) return;
  Device& device = devices_[id];
  if (device.state == state) return;
  device.state = state;
  device.dirty = true;
  if (state == DeviceState::kDown) {
    for (RunningBatch& batch : device.running) {
      if (!batch.active || !batch.lost) continue;
      batch.active = batch.lost = false;
      --device.running_count;
    }
  }
  if (state == DeviceState::kUp)
    rehome_strays(now);
  else
    move_away(device, now);
}

void GantryPolicy::Impl::close_input() {
  closed_ = true;
  for (Device& device : devices_) device.dirty = true;
}

void GantryPolicy::Impl::boost(CameraId id, Priority priority, Ns until, Ns now) {
  Camera* camera = find_camera(id);
  if (camera == nullptr) return;
  camera->boost_class = priority;
  camera->boost_until = until;
  if (now < until) {
    for (FrameIndex index = camera->first; index != kNil; index = frames_[index].camera_next) {
      WaitingFrame& frame = frames_[index];
      if (frame.cls <= static_cast<int>(priority)) continue;
      unlink(index);
      frame.cls = static_cast<std::uint8_t>(priority);
      enqueue(index, frame.device);
    }
  }
}

// -- lanes

void GantryPolicy::Impl::enqueue(FrameIndex index, DeviceId id) {
  WaitingFrame& frame = frames_[index];
  Device& device = devices_[id];
  frame.device = id;
  frames_.insert(device.lanes[frame.shape][frame.cls], index);
  ++device.waiting_of[frame.cls];
  ++device.waiting;
  device.dirty = true;
}

void GantryPolicy::Impl::unlink(FrameIndex index) {
  const WaitingFrame& frame = frames_[index];
  Device& device = devices_[frame.device];
  frames_.erase(device.lanes[frame.shape][frame.cls], index);
  --device.waiting_of[frame.cls];
  --device.waiting;
}

void GantryPolicy::Impl::drop(FrameIndex index, Outcome reason) {
  drops_.push_back({frames_[index].ticket, reason});
  unlink(index);
  forget(index);
}

/// Takes a frame that is in no lane any more out of its camera's list and gives its place back.
void GantryPolicy::Impl::forget(FrameIndex index) {
  const WaitingFrame& frame = frames_[index];
  Camera& camera = cameras_[frame.camera];
  (frame.camera_prev == kNil ? camera.first : frames_[frame.camera_prev].camera_next) = frame.camera_next;
  (frame.camera_next == kNil ? camera.last : frames_[frame.camera_next].camera_prev) = frame.camera_prev;
  --camera.waiting;
  frames_.release(index);
}

// -- the public face

GantryPolicy::GantryPolicy(const PolicyConfig& config) : impl_(std::make_unique<Impl>(config)) {}
GantryPolicy::~GantryPolicy() = default;
void GantryPolicy::add_device(const DeviceSpec& spec, TimePoint now) {
  impl_->add_device(spec, impl_->clamp(now));
}
void GantryPolicy::set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points, TimePoint now) {
  impl_->clamp(now);
  impl_->set_profile(device, shape, points);
}
void GantryPolicy::set_camera(const CameraSpec& spec, TimePoint now) {
  impl_->set_camera(spec, impl_->clamp(now));
}
void GantryPolicy::remove_camera(CameraId camera, TimePoint now) {
  impl_->remove_camera(camera, impl_->clamp(now));
}
void GantryPolicy::on_arrival(const Arrival& arrival, TimePoint now) {
  impl_->on_arrival(arrival, impl_->clamp(now));
}
void GantryPolicy::on_completion(const Completion& completion, TimePoint now) {
  impl_->on_completion(completion, impl_->clamp(now));
}
void GantryPolicy::on_device_state(DeviceId device, DeviceState state, TimePoint now) {
  impl_->on_device_state(device, state, impl_->clamp(now));
}
void GantryPolicy::on_input_closed(TimePoint now) {
  impl_->clamp(now);
  impl_->close_input();
}
void GantryPolicy::boost(CameraId camera, Priority priority, TimePoint until, TimePoint now) {
  impl_->boost(camera, priority, to_ns(until), impl_->clamp(now));
}
void GantryPolicy::on_memory(DeviceId device, double used, TimePoint now) {
  impl_->on_memory(device, used, impl_->clamp(now));
}
void GantryPolicy::on_wall_time(WallTime wall, TimePoint now) {
  impl_->load().set_wall_time(wall, to_time(impl_->clamp(now)));
}
double GantryPolicy::demand_at(WallTime wall) const {
  return impl_->load().profile_fps(wall);
}
std::string GantryPolicy::save() const {
  return impl_->load().save();
}
Result<void> GantryPolicy::restore(std::string_view text) {
  return impl_->load().restore(text);
}
Decision GantryPolicy::decide(TimePoint now) {
  return impl_->decide(impl_->clamp(now));
}
DeviceId GantryPolicy::home_of(CameraId camera) const {
  return impl_->home_of(camera);
}
void GantryPolicy::report(PolicyReport& out, TimePoint now) const {
  impl_->report(out, to_ns(now));
}

}  // namespace gantry::scheduler
