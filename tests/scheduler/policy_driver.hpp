#pragma once
// Drives a Policy through virtual time for tests: cameras that beat (with jitter, or at random), devices that take the
// tabled time, faults on request. It keeps its own books and checks the contract as it goes, so every test that uses it
// also tests that each frame ends exactly once and that batches hold to their limits.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <queue>
#include <random>
#include <unordered_map>
#include <vector>

#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler::test {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline std::vector<LatencyPoint> h100() {
  return {{1, microseconds{500}, {}},
          {8, microseconds{1100}, {}},
          {16, microseconds{2000}, {}},
          {32, microseconds{3700}, {}}};
}
inline std::vector<LatencyPoint> slow_card() {
  return {{1, milliseconds{6}, {}},
          {4, milliseconds{9}, {}},
          {8, milliseconds{12}, {}},
          {16, milliseconds{20}, {}},
          {32, milliseconds{36}, {}}};
}
inline Duration table_time(const std::vector<LatencyPoint>& points, int batch) {
  std::size_t right = points.size() > 1 ? 1 : 0;
  while (right + 1 < points.size() && points[right].batch < batch) ++right;
  if (right == 0 || batch <= points[0].batch) return points[0].mean;
  const auto& a = points[right - 1];
  const auto& b = points[right];
  return a.mean + (b.mean - a.mean) * (batch - a.batch) / (b.batch - a.batch);
}

struct TestCamera {
  CameraSpec spec;
  Duration deadline = milliseconds{100};
  Duration phase{};
  Duration jitter{};     // uniform ±
  bool poisson = false;  // exponential gaps of mean spec.period
  ShapeId shape = 0;
  Duration held_from{}, held_until{};  // what would come in between comes at its end, a backlog
};

struct TestDevice {
  DeviceSpec spec;
  std::vector<std::vector<LatencyPoint>> tables;  // by shape
  std::function<double(TimePoint)> factor;        // on the table's time; empty: 1
};

struct ClassTally {
  std::uint64_t arrived = 0, in_time = 0, late = 0, failed = 0;
  std::array<std::uint64_t, kOutcomeCount> drops{};
  std::vector<double> waits_ms;
  [[nodiscard]] double goodput() const {
    return arrived == 0 ? 1 : static_cast<double>(in_time) / static_cast<double>(arrived);
  }
  [[nodiscard]] double wait(double q) {
    if (waits_ms.empty()) return 0;
    const auto at = static_cast<std::size_t>(q * static_cast<double>(waits_ms.size() - 1));
    std::nth_element(waits_ms.begin(), waits_ms.begin() + at, waits_ms.end());
    return waits_ms[at];
  }
};

class PolicyDriver {
 public:
  PolicyDriver(Policy& policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

  double noise = 0.02;                                      // σ of the log of a batch's time
  std::function<void(const Launch&, TimePoint)> on_launch;  // extra checks

  void add(const TestDevice& device) {
    devices_.push_back({device, true, 0});
    policy_.add_device(device.spec, now_);
    for (std::size_t shape = 0; shape < device.tables.size(); ++shape)
      if (!device.tables[shape].empty())
        policy_.set_profile(device.spec.id, static_cast<ShapeId>(shape), device.tables[shape], now_);
  }
  void add(const TestCamera& camera) {
    policy_.set_camera(camera.spec, now_);
    cameras_.push_back({camera, true, now_ + camera.phase});
    published.emplace_back();
    arrived.emplace_back();
    worst_wait_ms.push_back(0);
    push(now_ + camera.phase, Kind::kArrival, cameras_.size() - 1);
  }
  void remove_camera(std::size_t index) {
    cameras_[index].alive = false;
    policy_.remove_camera(cameras_[index].camera.spec.id, now_);
    settle();
  }
  /// Calls `action` at `when`, with the policy settled afterwards.
  void at(Duration when, std::function<void()> action) {
    actions_.push_back(std::move(action));
    push(TimePoint{} + when, Kind::kAction, actions_.size() - 1);
  }
  /// Down: its batches fail at once.
  void set_device(DeviceId id, DeviceState state) {
    policy_.on_device_state(id, state, now_);
    if (state != DeviceState::kDown) return;
    for (auto& [batch, running] : running_) {
      if (running.device != id || running.ended) continue;
      fail(batch, running);
    }
  }
  void fail_next(int batches) { failures_ += batches; }

  void run_until(Duration end) {
    const TimePoint stop = TimePoint{} + end;
    while (!events_.empty() || timer_ != kNever) {
      const TimePoint next = events_.empty() ? timer_ : std::min(events_.top().when, timer_);
      if (next > stop) break;
      now_ = std::max(now_, next);
      if (!events_.empty() && events_.top().when <= now_) {
        const Event event = events_.top();
        events_.pop();
        handle(event, stop);
      }
      settle();
    }
    now_ = stop;
  }
  /// No more arrivals; runs until nothing is left.
  void drain() {
    policy_.on_input_closed(now_);
    for (auto& camera : cameras_) camera.alive = false;
    settle();
    run_until((now_ - TimePoint{}) + seconds{30});
    EXPECT_TRUE(waiting_.empty()) << waiting_.size() << " frames never ended";
    for (const auto& [id, batch] : running_) EXPECT_TRUE(batch.ended) << "batch " << id;
  }

  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] std::uint64_t events() const { return handled_; }
  [[nodiscard]] ClassTally total() const {
    ClassTally sum;
    for (const ClassTally& tally : classes) {
      sum.arrived += tally.arrived, sum.in_time += tally.in_time, sum.late += tally.late, sum.failed += tally.failed;
      for (int i = 0; i < kOutcomeCount; ++i) sum.drops[i] += tally.drops[i];
      sum.waits_ms.insert(sum.waits_ms.end(), tally.waits_ms.begin(), tally.waits_ms.end());
    }
    return sum;
  }
  [[nodiscard]] std::uint64_t batches() const { return batches_; }

  std::array<ClassTally, kPriorityCount> classes;
  std::vector<std::uint64_t> published, arrived;  // by camera, in the order of add()
  std::vector<double> worst_wait_ms;              // likewise

  struct Waiting {
    std::size_t camera;
    Priority priority;
    TimePoint arrived, deadline;
    ShapeId shape;
  };
  [[nodiscard]] const std::unordered_map<FrameTicket, Waiting>& waiting() const { return waiting_; }

 private:
  enum class Kind { kArrival, kDone, kAction };
  struct Event {
    TimePoint when;
    std::uint64_t order;
    Kind kind;
    std::uint64_t index;
    bool operator<(const Event& other) const { return std::tie(other.when, other.order) < std::tie(when, order); }
  };
  struct CameraState {
    TestCamera camera;
    bool alive;
    TimePoint beat;
  };
  struct DeviceState_ {
    TestDevice device;
    bool up;
    int running;
  };
  struct Running {
    DeviceId device = 0;
    std::vector<Waiting> frames;
    bool fails = false;
    bool ended = false;
  };

  void push(TimePoint when, Kind kind, std::uint64_t index) { events_.push({when, order_++, kind, index}); }

  void handle(const Event& event, TimePoint stop) {
    ++handled_;
    switch (event.kind) {
      case Kind::kArrival: {
        CameraState& state = cameras_[event.index];
        if (!state.alive) return;
        const TestCamera& camera = state.camera;
        const FrameTicket ticket = next_ticket_++;
        const Waiting frame{event.index, camera.spec.priority, now_, now_ + camera.deadline, camera.shape};
        waiting_[ticket] = frame;
        ++classes[static_cast<int>(frame.priority)].arrived;
        ++arrived[event.index];
        policy_.on_arrival({ticket, camera.spec.id, camera.shape, frame.priority, now_, frame.deadline}, now_);
        if (camera.poisson) {
          const double mean = static_cast<double>(camera.spec.period.count());
          push(now_ + Duration{static_cast<Duration::rep>(std::exponential_distribution<double>{1 / mean}(random_))},
               Kind::kArrival, event.index);
        } else {
          state.beat += camera.spec.period;
          Duration offset{};
          if (camera.jitter > Duration::zero())
            offset = Duration{
                std::uniform_int_distribution<Duration::rep>{-camera.jitter.count(), camera.jitter.count()}(random_)};
          TimePoint next = state.beat + offset;
          if (next >= TimePoint{} + camera.held_from) next = std::max(next, TimePoint{} + camera.held_until);
          push(std::max(now_, next), Kind::kArrival, event.index);
        }
        break;
      }
      case Kind::kDone: {
        Running& running = running_.at(event.index);
        if (running.ended) break;
        if (running.fails) {
          fail(event.index, running);
          break;
        }
        running.ended = true;
        --devices_[running.device].running;
        for (const Waiting& frame : running.frames) {
          ClassTally& tally = classes[static_cast<int>(frame.priority)];
          if (now_ <= frame.deadline) {
            ++tally.in_time;
            ++published[frame.camera];
          } else {
            ++tally.late;
          }
        }
        policy_.on_completion({event.index, running.device, BatchStatus::kOk}, now_);
        break;
      }
      case Kind::kAction:
        actions_[event.index]();
        break;
    }
    static_cast<void>(stop);
  }

  void fail(BatchId id, Running& running) {
    running.ended = true;
    --devices_[running.device].running;
    for (const Waiting& frame : running.frames) ++classes[static_cast<int>(frame.priority)].failed;
    policy_.on_completion({id, running.device, BatchStatus::kError}, now_);
  }

  void settle() {
    for (int guard = 0;; ++guard) {
      ASSERT_LT(guard, 100'000) << "decide() never comes to rest";
      const Decision decision = policy_.decide(now_);
      for (const Drop& drop : decision.drops) {
        const auto found = waiting_.find(drop.frame);
        ASSERT_NE(found, waiting_.end()) << "dropped twice, or after it was started";
        ++classes[static_cast<int>(found->second.priority)].drops[static_cast<int>(drop.reason)];
        ASSERT_TRUE(is_drop(drop.reason));
        waiting_.erase(found);
      }
      if (!decision.launch) {
        timer_ = decision.wait_until;
        ASSERT_TRUE(timer_ == kNever || timer_ > now_) << "asks to be woken in the past";
        return;
      }
      start(*decision.launch);
    }
  }

  void start(const Launch& launch) {
    ++batches_;
    if (on_launch) on_launch(launch, now_);
    DeviceState_& state = devices_[launch.device];
    ASSERT_GE(launch.frames.size(), 1U);
    ASSERT_LE(launch.frames.size(), static_cast<std::size_t>(state.device.spec.max_batch));
    ASSERT_LT(state.running, state.device.spec.concurrent_batches) << "more batches than the device runs at a time";
    ++state.running;
    Running& running = running_[launch.batch];
    running.device = launch.device;
    for (const FrameTicket ticket : launch.frames) {
      const auto found = waiting_.find(ticket);
      ASSERT_NE(found, waiting_.end()) << "started twice, or after it was dropped";
      ASSERT_EQ(found->second.shape, launch.shape) << "two shapes in one batch";
      running.frames.push_back(found->second);
      const double wait_ms = std::chrono::duration<double, std::milli>(now_ - found->second.arrived).count();
      classes[static_cast<int>(found->second.priority)].waits_ms.push_back(wait_ms);
      worst_wait_ms[found->second.camera] = std::max(worst_wait_ms[found->second.camera], wait_ms);
      waiting_.erase(found);
    }
    const auto& table = state.device.tables[launch.shape];
    double factor = state.device.factor ? state.device.factor(now_) : 1;
    if (noise > 0) factor *= std::exp(std::normal_distribution<double>{0, noise}(random_));
    const auto time = static_cast<Duration::rep>(
        factor * static_cast<double>(table_time(table, static_cast<int>(launch.frames.size())).count()));
    if (failures_ > 0) --failures_, running.fails = true;
    push(now_ + Duration{time}, Kind::kDone, launch.batch);
  }

  Policy& policy_;
  std::mt19937_64 random_;
  TimePoint now_{};
  TimePoint timer_ = kNever;
  std::priority_queue<Event> events_;
  std::uint64_t order_ = 0, handled_ = 0, batches_ = 0;
  FrameTicket next_ticket_ = 1;
  int failures_ = 0;
  std::vector<CameraState> cameras_;
  std::vector<DeviceState_> devices_;
  std::vector<std::function<void()>> actions_;
  std::unordered_map<FrameTicket, Waiting> waiting_;
  std::unordered_map<BatchId, Running> running_;
};

/// Jain's fairness index of xs, 1 for all equal.
inline double jain(const std::vector<double>& xs) {
  double sum = 0;
  double squares = 0;
  for (const double x : xs) sum += x, squares += x * x;
  return squares > 0 ? sum * sum / (static_cast<double>(xs.size()) * squares) : 1;
}

}  // namespace gantry::scheduler::test
