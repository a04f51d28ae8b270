#include "gantry/scheduler/sim/workload.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace gantry::scheduler::sim {
namespace {

Scenario scenario_of(CameraGroup group, double duration_s = 10) {
  Scenario scenario;
  scenario.name = scenario.setup = "test";
  scenario.duration_s = duration_s;
  scenario.shapes = {{.name = "640x384"}, {.name = "640x480"}};
  scenario.devices = {{.table = fixed_table("h100")}};
  scenario.cameras = {std::move(group)};
  return scenario;
}

std::vector<VirtualNs> times_of(const Workload& workload, CameraId camera) {
  std::vector<VirtualNs> times;
  for (const WorkFrame& frame : workload.frames) {
    if (frame.camera == camera) times.push_back(frame.at_ns);
  }
  return times;
}

bool same(const Workload& a, const Workload& b) {
  return std::equal(a.frames.begin(), a.frames.end(), b.frames.begin(), b.frames.end(),
                    [](const WorkFrame& x, const WorkFrame& y) {
                      return x.at_ns == y.at_ns && x.deadline_ns == y.deadline_ns && x.camera == y.camera &&
                             x.priority == y.priority && x.shape == y.shape;
                    });
}

TEST(Workload, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const Scenario scenario =
      scenario_of({.count = 20, .fps_low = 5, .fps_high = 60, .jitter_ms = 2, .urgent_share = 0.1});
  EXPECT_TRUE(same(make_workload(scenario, 7), make_workload(scenario, 7)));
  EXPECT_FALSE(same(make_workload(scenario, 7), make_workload(scenario, 8)));
}

TEST(Workload, PeriodicCamerasKeepTheirPeriod) {
  const Workload workload = make_workload(scenario_of({.count = 3, .fps_low = 25, .fps_high = 25}), 1);
  for (CameraId camera = 0; camera < 3; ++camera) {
    const auto times = times_of(workload, camera);
    EXPECT_EQ(times.size(), 250);
    for (std::size_t i = 1; i < times.size(); ++i) EXPECT_LE(std::abs(times[i] - times[i - 1] - 40'000'000), 1);
    EXPECT_EQ(workload.cameras[camera].period_ns, 40'000'000);
  }
}

TEST(Workload, JitterStaysWithinThreeDeviationsAndDoesNotAddUp) {
  const Workload workload = make_workload(scenario_of({.count = 1, .fps_low = 20, .fps_high = 20, .jitter_ms = 3}), 1);
  const auto times = times_of(workload, 0);
  double widest = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    const double drift = static_cast<double>(times[i] - times[0]) / 1e6 - 50.0 * static_cast<double>(i);
    EXPECT_LE(std::abs(drift), 18);
    widest = std::max(widest, std::abs(drift));
  }
  EXPECT_GT(widest, 3);
}

TEST(Workload, AlignedCamerasSendTogether) {
  const Workload workload = make_workload(scenario_of({.count = 50, .phase = PhaseRule::kAligned}), 1);
  std::map<VirtualNs, int> at;
  for (const WorkFrame& frame : workload.frames) ++at[frame.at_ns];
  for (const auto& [time, count] : at) EXPECT_EQ(count, 50);
}

TEST(Workload, SpreadCamerasSendEvenly) {
  const Workload workload = make_workload(scenario_of({.count = 10, .phase = PhaseRule::kSpread}), 1);
  for (std::size_t i = 1; i < workload.frames.size(); ++i) {
    EXPECT_LE(std::abs(workload.frames[i].at_ns - workload.frames[i - 1].at_ns - 3'333'333), 2);
  }
}

TEST(Workload, PoissonKeepsMeanAndVariance) {
  const Workload workload = make_workload(
      scenario_of({.count = 100, .fps_low = 10, .fps_high = 10, .process = ArrivalProcess::kPoisson}, 50), 3);
  std::vector<double> counts(500);  // of 100 ms
  for (const WorkFrame& frame : workload.frames) ++counts[std::min<VirtualNs>(frame.at_ns / 100'000'000, 499)];
  double mean = 0;
  double variance = 0;
  for (const double c : counts) mean += c / 500;
  for (const double c : counts) variance += (c - mean) * (c - mean) / 500;
  EXPECT_NEAR(mean, 100, 2);             // standard error 0.45
  EXPECT_NEAR(variance / mean, 1, 0.3);  // standard error 0.06
  EXPECT_EQ(workload.cameras.front().period_ns, 0);
}

TEST(Workload, BurstsKeepTheMeanAndAreLouder) {
  CameraGroup group{.count = 100, .fps_low = 10, .fps_high = 10, .process = ArrivalProcess::kBursty};
  group.burst_factor = 3;
  group.burst_on_s = 0.5;
  group.burst_off_s = 1.5;
  const Workload workload = make_workload(scenario_of(group, 400), 3);
  EXPECT_NEAR(static_cast<double>(workload.frames.size()) / 400'000, 1, 0.12);  // 200 bursts: standard error 0.05
  std::vector<double> counts(4000);
  for (const WorkFrame& frame : workload.frames) ++counts[std::min<VirtualNs>(frame.at_ns / 100'000'000, 3999)];
  std::sort(counts.begin(), counts.end());
  EXPECT_NEAR(counts[400], 33, 15);    // quiet: a third of 100
  EXPECT_NEAR(counts[3600], 300, 40);  // loud: three times
}

TEST(Workload, ActivitySwitchesCameras) {
  CameraGroup group{.count = 100, .fps_low = 10, .fps_high = 10};
  group.activity = {{0, 0.2}, {5, 0.2}, {5.001, 1.0}};
  const Workload workload = make_workload(scenario_of(group), 1);
  std::set<CameraId> early;
  std::set<CameraId> late;
  for (const WorkFrame& frame : workload.frames) (frame.at_ns < 5'000'000'000 ? early : late).insert(frame.camera);
  EXPECT_NEAR(static_cast<double>(early.size()), 20, 3);
  EXPECT_EQ(late.size(), 100);
}

TEST(Workload, UrgentShareAndShapesAreAsAsked) {
  CameraGroup group{.count = 200, .urgent_share = 0.05};
  group.shapes = {{0, 0.7}, {1, 0.3}};
  const Workload workload = make_workload(scenario_of(group), 1);
  double urgent = 0;
  double second = 0;
  for (const WorkFrame& frame : workload.frames) {
    urgent += frame.priority == Priority::kUrgent ? 1 : 0;
    second += frame.shape == 1 ? 1 : 0;
    EXPECT_EQ(frame.deadline_ns - frame.at_ns, frame.priority == Priority::kUrgent ? 20'000'000 : 100'000'000);
  }
  EXPECT_NEAR(urgent / static_cast<double>(workload.frames.size()), 0.05, 0.005);
  EXPECT_NEAR(second / static_cast<double>(workload.frames.size()), 0.3, 0.03);
}

}  // namespace
}  // namespace gantry::scheduler::sim
