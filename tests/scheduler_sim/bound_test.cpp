#include "gantry/scheduler/sim/bound.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "gantry/scheduler/sim/random.hpp"

namespace gantry::scheduler::sim {
namespace {

constexpr VirtualNs kMs = 1'000'000;

/// The best that one device can do with the frames of `mask`, by trying every schedule: at each moment at which
/// starting could be best (the device has just become free, or a frame arrives) every subset that has arrived, or
/// waiting.
class BestSchedule {
 public:
  BestSchedule(const std::vector<WorkFrame>& frames, const DeviceModel& device, double cap_ns)
      : frames_(frames), device_(device), cap_ns_(cap_ns) {}

  int best(std::uint32_t mask, VirtualNs now = 0) const {
    int most = 0;
    std::vector<VirtualNs> starts{now};
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if ((mask >> i & 1U) != 0 && frames_[i].at_ns > now) starts.push_back(frames_[i].at_ns);
    }
    for (const VirtualNs start : starts) {
      std::uint32_t here = 0;
      for (std::size_t i = 0; i < frames_.size(); ++i) {
        if ((mask >> i & 1U) != 0 && frames_[i].at_ns <= start) here |= 1U << i;
      }
      for (std::uint32_t batch = here; batch != 0; batch = (batch - 1) & here) {
        most = std::max(most, start_batch(mask, batch, start));
      }
    }
    return most;
  }

 private:
  int start_batch(std::uint32_t mask, std::uint32_t batch, VirtualNs start) const {
    const int size = std::popcount(batch);
    const int shape = frames_[std::countr_zero(batch)].shape;
    if (size > device_.max_batch()) return 0;
    const double cost = device_.cost_ns(shape, size);
    if (cost > cap_ns_ - device_.cost_ns(shape, 1)) return 0;
    const VirtualNs finish = device_.finish(start, cost);
    int in_time = 0;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if ((batch >> i & 1U) == 0) continue;
      if (frames_[i].shape != shape) return 0;
      in_time += finish <= frames_[i].deadline_ns ? 1 : 0;
    }
    if (in_time == 0) return 0;
    return in_time + best(mask & ~batch, finish);
  }

  const std::vector<WorkFrame>& frames_;
  const DeviceModel& device_;
  double cap_ns_;
};

int best_of_all(const Workload& workload, const std::vector<DeviceModel>& devices, double cap_ns) {
  const std::uint32_t all = (1U << workload.frames.size()) - 1;
  if (devices.size() == 1) return BestSchedule(workload.frames, devices[0], cap_ns).best(all);
  int most = 0;
  for (std::uint32_t first = 0; first <= all; ++first) {
    most = std::max(most, BestSchedule(workload.frames, devices[0], cap_ns).best(first) +
                              BestSchedule(workload.frames, devices[1], cap_ns).best(all & ~first));
  }
  return most;
}

struct Tiny {
  Scenario scenario;
  Workload workload;
};

/// Few frames, close together, with deadlines near t(batch), so that much cannot be done.
Tiny tiny_instance(std::uint64_t seed, int frames, int devices) {
  Random random(seed);
  Tiny tiny;
  tiny.scenario.duration_s = 0.1;
  tiny.scenario.shapes = {{.name = "640x384"}, {.name = "640x480", .cost = 1.5}};
  const double noise = random.below(2) == 0 ? 0 : 0.2;
  for (int d = 0; d < devices; ++d) {
    const double scale = 1 + static_cast<double>(random.below(3));
    tiny.scenario.devices.push_back(
        {.table = {.name = "tiny", .points_ms = {{1, 2 * scale}, {2, 2.5 * scale}, {3, 4 * scale}}}, .noise = noise});
  }
  if (random.below(3) == 0) {
    tiny.scenario.events.push_back(
        {.kind = DeviceEvent::Kind::kSlowDown, .device = 0, .at_s = 0.004, .for_s = 0.004, .factor = 3});
  }
  for (int i = 0; i < frames; ++i) {
    WorkFrame frame;
    frame.at_ns = static_cast<VirtualNs>(random.below(10)) * kMs;
    const bool urgent = random.below(4) == 0;
    frame.priority = urgent ? Priority::kUrgent : Priority::kNormal;
    frame.deadline_ns = frame.at_ns + (urgent ? 8 : 4 + static_cast<VirtualNs>(random.below(12))) * kMs;
    frame.camera = static_cast<CameraId>(i);
    frame.shape = static_cast<std::uint8_t>(random.below(2));
    tiny.workload.cameras.emplace_back();
    tiny.workload.frames.push_back(frame);
  }
  std::sort(tiny.workload.frames.begin(), tiny.workload.frames.end(),
            [](const WorkFrame& a, const WorkFrame& b) { return a.at_ns < b.at_ns; });
  return tiny;
}

void check_against_brute_force(int instances, int frames, int device_count) {
  int lossy = 0;
  int tight = 0;
  for (int seed = 1; seed <= instances; ++seed) {
    const Tiny tiny = tiny_instance(static_cast<std::uint64_t>(seed), frames, device_count);
    const std::vector<DeviceModel> devices = make_devices(tiny.scenario, static_cast<std::uint64_t>(seed));
    for (const Cap cap : {Cap::kNone, Cap::kUrgent}) {
      const double cap_ns = cap == Cap::kUrgent ? shortest_urgent_ns(tiny.workload) : 1e18;
      const int best = best_of_all(tiny.workload, devices, cap_ns);
      const double bound = upper_bound(tiny.workload, devices, 2, cap);
      ASSERT_GE(bound + 1e-6, best) << "seed " << seed << " cap " << static_cast<int>(cap);
      ASSERT_LE(bound, frames);
      lossy += bound < frames - 1e-6 ? 1 : 0;
      tight += bound < best + 1 ? 1 : 0;
    }
  }
  // A bound that always said "everything" would hold as well: it must bite, and often be the whole number.
  EXPECT_GT(lossy, instances / 2);
  EXPECT_GT(tight, instances / 2);
}

TEST(Bound, IsNeverBelowTheBestScheduleOnOneDevice) {
  check_against_brute_force(400, 7, 1);
}

TEST(Bound, IsNeverBelowTheBestScheduleOnTwoDevices) {
  check_against_brute_force(60, 6, 2);
}

Workload same_frames(int count, VirtualNs at_ns, VirtualNs allowed_ns) {
  Workload workload;
  workload.cameras.resize(1);
  workload.frames.assign(count, {.at_ns = at_ns, .deadline_ns = at_ns + allowed_ns});
  return workload;
}

TEST(Bound, IsTheBestBatchRateUnderOverload) {
  Scenario scenario;
  scenario.duration_s = 1;
  scenario.shapes = {{.name = "640x384"}};
  scenario.devices = {{.table = fixed_table("slow")}};
  const auto devices = make_devices(scenario, 1);
  // 100 ms at 32 frames in 36 ms.
  EXPECT_NEAR(upper_bound(same_frames(1000, 0, 100 * kMs), devices, 1, Cap::kNone), 100.0 * 32 / 36, 1e-6);
  // In 20 ms a batch of 16 is the largest that fits.
  EXPECT_NEAR(upper_bound(same_frames(1000, 0, 20 * kMs), devices, 1, Cap::kNone), 20.0 * 16 / 20, 1e-6);
  EXPECT_EQ(upper_bound(same_frames(5, 0, 100 * kMs), devices, 1, Cap::kNone), 5);
  EXPECT_EQ(upper_bound(same_frames(5, 0, 5 * kMs), devices, 1, Cap::kNone), 0);
}

TEST(Bound, UrgentCapHoldsBatchesShort) {
  Scenario scenario;
  scenario.duration_s = 1;
  scenario.shapes = {{.name = "640x384"}};
  scenario.devices = {{.table = fixed_table("slow")}};
  const auto devices = make_devices(scenario, 1);
  Workload workload = same_frames(1000, 0, 100 * kMs);
  workload.frames.back().priority = Priority::kUrgent;
  workload.frames.back().deadline_ns = 20 * kMs;
  // t(10) = 14 ms is the longest with t(10) + t(1) <= 20 ms.
  EXPECT_NEAR(upper_bound(workload, devices, 1, Cap::kUrgent), 100.0 * 10 / 14, 1e-6);
  EXPECT_EQ(shortest_urgent_ns(workload), 20e6);
}

TEST(Bound, KnowsThatSparseArrivalsFillNoBatch) {
  Scenario scenario;
  scenario.duration_s = 10;
  scenario.shapes = {{.name = "640x384"}};
  scenario.devices = {{.table = fixed_table("slow")}};
  const auto devices = make_devices(scenario, 1);
  // One frame every 5 ms with 12 ms to answer: never more than two of them fit into one batch (t(2) = 7 ms leaves room
  // for arrivals 5 ms apart, t(3) = 8 ms only for 4 ms), so 3.5 ms a frame; every 2 ms is too often.
  const auto every = [](VirtualNs period_ns) {
    Workload workload;
    workload.cameras.resize(1);
    for (VirtualNs at = 0; at < 1000 * period_ns; at += period_ns) {
      workload.frames.push_back({.at_ns = at, .deadline_ns = at + 12 * kMs});
    }
    return workload;
  };
  EXPECT_EQ(upper_bound(every(5 * kMs), devices, 1, Cap::kNone), 1000);
  // 3 ms apart: two frames in 7 ms (a third would need 6 ms of room beside t(3) = 8 ms).
  EXPECT_NEAR(upper_bound(every(3 * kMs), devices, 1, Cap::kNone), 1000 * 3 / 3.5, 5);
}

TEST(Bound, PrefersCheapFrames) {
  Scenario scenario;
  scenario.duration_s = 1;
  scenario.shapes = {{.name = "640x384"}, {.name = "640x480", .cost = 2}};
  scenario.devices = {{.table = {.name = "flat", .points_ms = {{1, 1}}}}};
  const auto devices = make_devices(scenario, 1);
  Workload workload = same_frames(6, 0, 10 * kMs);
  for (int i = 0; i < 6; ++i) workload.frames.push_back({.at_ns = 0, .deadline_ns = 10 * kMs, .shape = 1});
  EXPECT_NEAR(upper_bound(workload, devices, 2, Cap::kNone), 6 + 4.0 / 2, 1e-6);
}

}  // namespace
}  // namespace gantry::scheduler::sim
