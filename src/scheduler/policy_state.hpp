#pragma once
// What GantryPolicy remembers: waiting frames in deadline-ordered lanes, cameras, devices. Plain data with the few
// operations that keep it consistent; decisions are made elsewhere. Frames live in one pool and are linked twice, in
// their lane and in their camera's list, so that nothing is searched for and nothing is allocated once the pool has
// grown to its size.
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "gantry/scheduler/breaker.hpp"
#include "gantry/scheduler/policy.hpp"
#include "scheduler/beat.hpp"
#include "scheduler/burst_allowance.hpp"
#include "scheduler/phase_wheel.hpp"

namespace gantry::scheduler {

using FrameIndex = std::uint32_t;
using CameraIndex = std::uint32_t;
inline constexpr int kUrgent = static_cast<int>(Priority::kUrgent);
inline constexpr int kBackground = static_cast<int>(Priority::kBackground);
inline constexpr std::uint32_t kNil = std::numeric_limits<std::uint32_t>::max();

[[nodiscard]] inline Ns to_ns(TimePoint t) noexcept {
  return t.time_since_epoch().count();
}
[[nodiscard]] inline TimePoint to_time(Ns t) noexcept {
  return TimePoint{Duration{t}};
}

struct WaitingFrame {
  FrameTicket ticket = 0;
  Ns deadline = 0;
  CameraIndex camera = 0;
  ShapeId shape = 0;
  DeviceId device = 0;
  std::uint8_t cls = 0;      // effective class: boosted, aged
  bool passed_over = false;  // lost to other cameras' frames under overload: its end is "shed"
  FrameIndex lane_prev = kNil, lane_next = kNil;
  FrameIndex camera_prev = kNil, camera_next = kNil;
};

/// Frames of one class and shape that wait at one device, earliest deadline first; equal deadlines in order of arrival.
struct Lane {
  FrameIndex head = kNil, tail = kNil;
  int count = 0;
};

class FramePool {
 public:
  void reserve(std::size_t frames) {
    while (frames_.size() < frames) grow();
  }
  [[nodiscard]] FrameIndex acquire() {
    if (free_ == kNil) grow();
    const FrameIndex index = free_;
    free_ = frames_[index].lane_next;
    frames_[index] = WaitingFrame{};
    return index;
  }
  void release(FrameIndex index) noexcept {
    frames_[index].lane_next = free_;
    free_ = index;
  }
  [[nodiscard]] std::size_t size() const noexcept { return frames_.size(); }
  WaitingFrame& operator[](FrameIndex index) noexcept { return frames_[index]; }
  const WaitingFrame& operator[](FrameIndex index) const noexcept { return frames_[index]; }

  /// Searches its place from the tail: deadlines mostly come in rising order.
  void insert(Lane& lane, FrameIndex index) noexcept {
    WaitingFrame& frame = frames_[index];
    FrameIndex before = lane.tail;
    while (before != kNil && frames_[before].deadline > frame.deadline) before = frames_[before].lane_prev;
    frame.lane_prev = before;
    frame.lane_next = before == kNil ? lane.head : frames_[before].lane_next;
    (frame.lane_prev == kNil ? lane.head : frames_[frame.lane_prev].lane_next) = index;
    (frame.lane_next == kNil ? lane.tail : frames_[frame.lane_next].lane_prev) = index;
    ++lane.count;
  }
  void erase(Lane& lane, FrameIndex index) noexcept {
    const WaitingFrame& frame = frames_[index];
    (frame.lane_prev == kNil ? lane.head : frames_[frame.lane_prev].lane_next) = frame.lane_next;
    (frame.lane_next == kNil ? lane.tail : frames_[frame.lane_next].lane_prev) = frame.lane_prev;
    --lane.count;
  }

 private:
  void grow() {
    frames_.emplace_back();
    release(static_cast<FrameIndex>(frames_.size() - 1));
  }
  std::vector<WaitingFrame> frames_;
  FrameIndex free_ = kNil;
};

struct Camera {
  CameraSpec spec;
  bool alive = false;
  DeviceId home = kNoDevice;
  ShapeId shape = 0;  // of its last frame
  // Boost
  Priority boost_class = Priority::kBackground;
  Ns boost_until = 0;
  // Waiting frames, oldest first
  FrameIndex first = kNil, last = kNil;
  int waiting = 0;
  // Arrivals
  Beat beat;
  BurstAllowance allowance;
  double slack_ns = 0;                        // from arrival to deadline, the shortest of late; 0: unknown
  std::int64_t expected = PhaseWheel::kNone;  // handle in its home's wheel of `expected_shape`
  ShapeId expected_shape = 0;
  bool urgent = false;    // in its home's list of urgent cameras
  double load_fps = 0;    // what it counts for in its home's load
  double load_share = 0;  // of one second of its home's time
  // Fairness
  double attained = 0;  // frames started over weight, with forward decay
  Ns last_served = 0;
  std::uint32_t mark = 0;  // scratch of one decision
  int marked = 0;
  bool skip_next = false;  // while normal cameras run at half their rate
  double shed_due = 0;     // background frames owed to early shedding
};

struct RunningBatch {
  bool active = false;
  BatchId id = 0;
  ShapeId shape = 0;
  int size = 0;
  Ns started = 0;
  Ns predicted_end = 0;
  bool lost = false;  // timed out; keeps its place
  std::vector<Ns> deadlines;
};

/// Urgent frames of cameras that usually are not: nothing is known of when they come, only how often lately.
struct RandomUrgent {
  double fps = 0;
  double slack_ns = 0;  // the shortest of late
  Ns last = 0;
};

struct Device {
  DeviceSpec spec;
  bool known = false;
  DeviceState state = DeviceState::kUp;
  CircuitBreaker breaker;
  std::vector<RunningBatch> running;  // one for each of concurrent_batches
  int running_count = 0;
  Ns last_launch = 0;
  std::vector<std::array<Lane, kPriorityCount>> lanes;  // by shape
  std::vector<PhaseWheel> wheels;                       // by shape
  std::vector<ShapeId> shapes;                          // those it can run
  std::array<int, kPriorityCount> waiting_of{};
  int waiting = 0;
  int cameras = 0;
  double demand_fps = 0;                    // of its cameras
  double load = 0;                          // the same over what it can do, 1: full
  std::vector<CameraIndex> urgent_cameras;  // urgent and emergency ones with this home
  RandomUrgent random_urgent;
  std::array<Ns, kPriorityCount> overloaded_until{};
  std::array<Ns, kPriorityCount> losing_until{};  // frames were lost to lateness
  struct ShapeShare {
    double arrived = 0, started = 0;  // frames, with forward decay
  };
  std::vector<ShapeShare> shares;  // by shape
  // When to look at it again
  bool dirty = false;
  bool idle = false;
  Ns next_check = kNsNever;

  [[nodiscard]] bool takes_work() const noexcept {
    return known && state == DeviceState::kUp && breaker.state() != CircuitBreaker::State::kOpen;
  }
  /// On trial: one batch of one frame at a time.
  [[nodiscard]] bool on_trial() const noexcept { return breaker.state() == CircuitBreaker::State::kHalfOpen; }
  /// Healthy enough to be a home.
  [[nodiscard]] bool takes_cameras() const noexcept { return takes_work() && !on_trial() && !shapes.empty(); }
  [[nodiscard]] bool has_room() const noexcept { return running_count < (on_trial() ? 1 : spec.concurrent_batches); }
};

}  // namespace gantry::scheduler
