#include "gantry/scheduler/sim/simulator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr VirtualNs kNoTime = std::numeric_limits<VirtualNs>::max();

TimePoint virtual_time(VirtualNs at_ns) {
  return TimePoint{Duration{at_ns}};
}

std::uint32_t to_us(VirtualNs ns) {
  return static_cast<std::uint32_t>(std::clamp<VirtualNs>(ns / 1000, 0, std::numeric_limits<std::uint32_t>::max()));
}

class Run {
 public:
  Run(const Scenario& scenario, const Workload& workload, const std::vector<DeviceModel>& devices, Policy& policy,
      const Observer& observer)
      : scenario_(scenario), workload_(workload), devices_(devices), policy_(policy), observer_(observer) {
    end_ns_ = static_cast<VirtualNs>(scenario.duration_s * 1e9);
    state_.assign(workload.frames.size(), FrameState::kToCome);
    running_.resize(devices.size());
    stats_.policy = std::string(policy.name());
    stats_.duration_s = scenario.duration_s;
    stats_.busy_share.resize(devices.size());
    windows_ = std::max<std::size_t>(1, static_cast<std::size_t>(scenario.duration_s));
    offered_.assign(windows_ * workload.cameras.size(), 0);
    got_.assign(offered_.size(), 0);
    for (std::size_t d = 0; d < devices.size(); ++d) {
      for (const auto& [begin, end] : devices[d].faults()) {
        device_events_.push_back({begin, static_cast<DeviceId>(d), DeviceState::kDown});
        device_events_.push_back({end, static_cast<DeviceId>(d), DeviceState::kUp});
      }
    }
    std::stable_sort(device_events_.begin(), device_events_.end(),
                     [](const DeviceEvent& a, const DeviceEvent& b) { return a.at_ns < b.at_ns; });
  }

  RunStats play() {
    set_up(policy_, scenario_, workload_, devices_);
    while (ended_ < workload_.frames.size()) {
      const VirtualNs next = next_time();
      if (!(next != kNoTime)) blame(fmt::format("sits on {} frames and waits for nothing", arrived_ - ended_));
      now_ = std::max(now_, next);
      deliver();
      decide();
    }
    stats_.jain = fairness();
    for (double& share : stats_.busy_share) share /= static_cast<double>(end_ns_);
    return std::move(stats_);
  }

 private:
  enum class FrameState : std::uint8_t { kToCome, kWaiting, kRunning, kEnded };
  struct DeviceEvent {
    VirtualNs at_ns = 0;
    DeviceId device = 0;
    DeviceState state = DeviceState::kDown;
  };
  struct Running {
    BatchId batch = 0;
    VirtualNs started_ns = 0;
    VirtualNs finish_ns = kNoTime;
    bool up = true;
    std::vector<FrameTicket> frames;
  };

  [[noreturn]] void blame(const std::string& what) const {
    throw PreconditionError(
        fmt::format("policy '{}' at {:.6f} s: {}", policy_.name(), static_cast<double>(now_) / 1e9, what));
  }

  [[nodiscard]] VirtualNs next_time() const {
    VirtualNs next = std::min(timer_ns_, next_finish_ns_);
    if (arrived_ < workload_.frames.size()) next = std::min(next, workload_.frames[arrived_].at_ns);
    if (device_event_ < device_events_.size()) next = std::min(next, device_events_[device_event_].at_ns);
    return next;
  }

  /// Everything that happens at `now_`: results first, so that a device is known to be free when a frame arrives.
  void deliver() {
    if (next_finish_ns_ <= now_) finish_batches();
    while (device_event_ < device_events_.size() && device_events_[device_event_].at_ns <= now_) {
      change_device(device_events_[device_event_++]);
    }
    while (arrived_ < workload_.frames.size() && workload_.frames[arrived_].at_ns <= now_) arrive(arrived_++);
    if (arrived_ == workload_.frames.size() && !closed_) {
      closed_ = true;
      policy_.on_input_closed(virtual_time(now_));
    }
    ++stats_.events;
  }

  void arrive(std::uint64_t index) {
    const WorkFrame& frame = workload_.frames[index];
    state_[index] = FrameState::kWaiting;
    ++class_of(frame).offered;
    ++slice_of(frame.at_ns).offered;
    if (frame.priority == Priority::kNormal) ++offered_[window_of(frame)];
    ++stats_.events;
    tell({.kind = Step::Kind::kArrival, .at_ns = now_, .frame = index});
    policy_.on_arrival({.frame = index,
                        .camera = frame.camera,
                        .shape = frame.shape,
                        .priority = frame.priority,
                        .captured_at = virtual_time(frame.at_ns),
                        .deadline = virtual_time(frame.deadline_ns)},
                       virtual_time(now_));
  }

  void finish_batches() {
    for (std::size_t d = 0; d < running_.size(); ++d) {
      if (running_[d].finish_ns <= now_) complete(static_cast<DeviceId>(d), BatchStatus::kOk);
    }
    find_next_finish();
  }

  void find_next_finish() {
    next_finish_ns_ = kNoTime;
    for (const Running& running : running_) next_finish_ns_ = std::min(next_finish_ns_, running.finish_ns);
  }

  void complete(DeviceId device, BatchStatus status) {
    Running& running = running_[device];
    const bool ok = status == BatchStatus::kOk;
    for (const FrameTicket index : running.frames) {
      const WorkFrame& frame = workload_.frames[index];
      const bool in_time = now_ <= frame.deadline_ns;
      if (ok && in_time) {
        class_of(frame).latency_us.push_back(to_us(now_ - frame.at_ns));
        ++slice_of(frame.at_ns).in_time;
        if (frame.priority == Priority::kNormal) ++got_[window_of(frame)];
      }
      end(index, ok ? (in_time ? Outcome::kPublished : Outcome::kPublishedLate) : Outcome::kEngineError);
    }
    tell({.kind = ok ? Step::Kind::kFinish : Step::Kind::kFailed,
          .at_ns = now_,
          .device = device,
          .batch = running.frames});
    stats_.busy_share[device] += static_cast<double>(now_ - running.started_ns);
    running.frames.clear();
    running.finish_ns = kNoTime;
    ++stats_.events;
    policy_.on_completion({.batch = running.batch, .device = device, .status = status}, virtual_time(now_));
  }

  void change_device(const DeviceEvent& event) {
    Running& running = running_[event.device];
    if (event.state == DeviceState::kDown && !running.frames.empty()) {
      complete(event.device, BatchStatus::kError);
      find_next_finish();
    }
    running.up = event.state == DeviceState::kUp;
    ++stats_.events;
    tell({.kind = running.up ? Step::Kind::kUp : Step::Kind::kDown, .at_ns = now_, .device = event.device});
    policy_.on_device_state(event.device, event.state, virtual_time(now_));
  }

  void decide() {
    for (bool launched = true; launched;) {
      const Decision decision = policy_.decide(virtual_time(now_));
      ++stats_.decisions;
      for (const Drop& drop : decision.drops) this->drop(drop);
      launched = decision.launch.has_value();
      if (launched) {
        launch(*decision.launch);
      } else {
        const bool never = decision.wait_until == kNever;
        timer_ns_ = never ? kNoTime : decision.wait_until.time_since_epoch().count();
        if (!(timer_ns_ > now_)) blame("waits for a time that has passed");
      }
    }
  }

  void drop(const Drop& drop) {
    if (!(drop.frame < arrived_ && state_[drop.frame] == FrameState::kWaiting))
      blame(fmt::format("drops frame {}, which does not wait", drop.frame));
    if (!(is_drop(drop.reason))) blame("gives no reason for a drop");
    tell({.kind = Step::Kind::kDrop, .at_ns = now_, .frame = drop.frame, .reason = drop.reason});
    end(drop.frame, drop.reason);
  }

  void launch(const Launch& launch) {
    if (!(launch.device < running_.size())) blame("launches on a device that does not exist");
    Running& running = running_[launch.device];
    const DeviceModel& device = devices_[launch.device];
    const auto size = static_cast<int>(launch.frames.size());
    if (!(running.up && running.frames.empty()))
      blame(fmt::format("launches on device {}, busy or down", launch.device));
    if (!(size >= 1 && size <= device.max_batch())) blame(fmt::format("launches a batch of {}", size));
    if (launch.shape >= scenario_.shapes.size()) blame(fmt::format("launches shape {}, which is none", launch.shape));
    const double cost = device.cost_ns(launch.shape, size);
    running.frames.assign(launch.frames.begin(), launch.frames.end());
    running.batch = launch.batch;
    running.started_ns = now_;
    running.finish_ns = device.finish(now_, cost);
    next_finish_ns_ = std::min(next_finish_ns_, running.finish_ns);
    Slice& slice = slice_of(now_);
    for (const FrameTicket index : running.frames) {
      if (!(index < arrived_ && state_[index] == FrameState::kWaiting))
        blame(fmt::format("launches frame {}, which does not wait", index));
      const WorkFrame& frame = workload_.frames[index];
      if (!(frame.shape == launch.shape)) blame(fmt::format("mixes shapes {} and {}", frame.shape, launch.shape));
      state_[index] = FrameState::kRunning;
      class_of(frame).queue_wait_us.push_back(to_us(now_ - frame.at_ns));
      slice.wait_ms += static_cast<double>(now_ - frame.at_ns) / 1e6;
      if (static_cast<double>(frame.deadline_ns - now_) * device.fastest() < cost) ++stats_.hopeless;
    }
    ++slice.batches;
    slice.batched_frames += static_cast<std::uint32_t>(size);
    ++stats_.batches;
    stats_.batched_frames += static_cast<std::uint64_t>(size);
    tell({.kind = Step::Kind::kLaunch, .at_ns = now_, .device = launch.device, .batch = running.frames});
  }

  void end(std::uint64_t index, Outcome outcome) {
    state_[index] = FrameState::kEnded;
    ++class_of(workload_.frames[index]).outcomes[static_cast<std::size_t>(outcome)];
    ++ended_;
  }

  ClassStats& class_of(const WorkFrame& frame) { return stats_.classes[static_cast<std::size_t>(frame.priority)]; }

  Slice& slice_of(VirtualNs at_ns) {
    const auto slice = static_cast<int>(static_cast<double>(at_ns) / static_cast<double>(end_ns_) * RunStats::kSlices);
    return stats_.slices[std::min(slice, RunStats::kSlices - 1)];
  }

  [[nodiscard]] std::size_t window_of(const WorkFrame& frame) const {
    const auto window = std::min(windows_ - 1, static_cast<std::size_t>(frame.at_ns / 1'000'000'000));
    return window * workload_.cameras.size() + frame.camera;
  }

  /// Jain's index over cameras of published / entitled, where a camera is entitled, second by second, to its max-min
  /// fair share of the normal frames that this policy did publish.
  [[nodiscard]] double fairness() const {
    const std::size_t cameras = workload_.cameras.size();
    std::vector<double> got(cameras);
    std::vector<double> entitled(cameras);
    std::vector<double> weights(cameras);
    std::vector<double> demands(cameras);
    for (std::size_t c = 0; c < cameras; ++c) weights[c] = workload_.cameras[c].weight;
    for (std::size_t window = 0; window < windows_; ++window) {
      double total = 0;
      for (std::size_t c = 0; c < cameras; ++c) {
        demands[c] = offered_[window * cameras + c];
        got[c] += got_[window * cameras + c];
        total += got_[window * cameras + c];
      }
      const std::vector<double> split = fair_split(demands, weights, total);
      for (std::size_t c = 0; c < cameras; ++c) entitled[c] += split[c];
    }
    return jain_index(got, entitled);
  }

  void tell(const Step& step) const {
    if (observer_) observer_(step);
  }

  const Scenario& scenario_;
  const Workload& workload_;
  const std::vector<DeviceModel>& devices_;
  Policy& policy_;
  const Observer& observer_;
  RunStats stats_;
  VirtualNs now_ = 0;
  VirtualNs end_ns_ = 0;
  VirtualNs timer_ns_ = kNoTime;
  VirtualNs next_finish_ns_ = kNoTime;
  std::vector<DeviceEvent> device_events_;
  std::size_t device_event_ = 0;
  std::vector<FrameState> state_;
  std::vector<Running> running_;
  std::uint64_t arrived_ = 0;
  std::uint64_t ended_ = 0;
  bool closed_ = false;
  std::size_t windows_ = 1;
  std::vector<std::uint16_t> offered_;  ///< normal frames, [window][camera]
  std::vector<std::uint16_t> got_;
};

}  // namespace

void set_up(Policy& policy, const Scenario& scenario, const Workload& workload,
            const std::vector<DeviceModel>& devices) {
  const TimePoint start{};
  for (std::size_t d = 0; d < devices.size(); ++d) {
    const DeviceSetup& setup = scenario.devices[d];
    const auto id = static_cast<DeviceId>(d);
    policy.add_device({.id = id, .max_batch = devices[d].max_batch()}, start);
    for (std::size_t shape = 0; shape < scenario.shapes.size(); ++shape) {
      std::vector<LatencyPoint> points;
      for (const auto& [batch, ms] : setup.table.points_ms) {
        const auto mean_ns = devices[d].cost_ns(static_cast<int>(shape), batch);
        points.push_back({.batch = batch,
                          .mean = Duration{static_cast<std::int64_t>(mean_ns)},
                          .p99 = Duration{static_cast<std::int64_t>(mean_ns * (1 + 2.33 * setup.noise))}});
      }
      policy.set_profile(id, static_cast<ShapeId>(shape), points, start);
    }
  }
  for (std::size_t c = 0; c < workload.cameras.size(); ++c) {
    const WorkCamera& camera = workload.cameras[c];
    policy.set_camera({.id = static_cast<CameraId>(c),
                       .priority = camera.priority,
                       .period = Duration{camera.period_ns},
                       .weight = camera.weight},
                      start);
  }
}

RunStats simulate(const Scenario& scenario, const Workload& workload, const std::vector<DeviceModel>& devices,
                  Policy& policy, const Observer& observer) {
  return Run(scenario, workload, devices, policy, observer).play();
}

}  // namespace gantry::scheduler::sim
