#include "gantry/scheduler/sim/device_model.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gantry::scheduler::sim {
namespace {

constexpr VirtualNs kMs = 1'000'000;

double ms(VirtualNs at_ns) {
  return static_cast<double>(at_ns) / static_cast<double>(kMs);
}

Scenario one_device(double noise = 0) {
  Scenario scenario;
  scenario.duration_s = 10;
  scenario.shapes = {{.name = "640x384"}, {.name = "640x480", .cost = 1.25}};
  scenario.devices = {{.table = fixed_table("slow"), .noise = noise}};
  return scenario;
}

TEST(DeviceModel, TakesTableTimeAtSpeedOne) {
  const DeviceModel device(one_device(), 0, 1);
  EXPECT_EQ(device.max_batch(), 32);
  EXPECT_EQ(device.finish(3 * kMs / 2, device.cost_ns(0, 16)), 3 * kMs / 2 + 20 * kMs);
  EXPECT_EQ(device.finish(0, device.cost_ns(1, 8)), 15 * kMs);
  EXPECT_EQ(device.finish(1000'000 * kMs, device.cost_ns(0, 8)), 1000'012 * kMs);  // far beyond the end
}

TEST(DeviceModel, SlowDownStretchesWhatFallsIntoIt) {
  Scenario scenario = one_device();
  scenario.events = {{.kind = DeviceEvent::Kind::kSlowDown, .device = 0, .at_s = 1, .for_s = 1, .factor = 3}};
  const DeviceModel device(scenario, 0, 1);
  const double cost = device.cost_ns(0, 8);  // 12 ms
  EXPECT_NEAR(ms(device.finish(1100 * kMs, cost)), 1136, 1e-5);
  EXPECT_NEAR(ms(device.finish(994 * kMs, cost)), 1018, 1e-5);   // 6 ms before, 6 ms at a third
  EXPECT_NEAR(ms(device.finish(1994 * kMs, cost)), 2010, 1e-5);  // 6 ms at a third of the speed, 10 ms after
}

TEST(DeviceModel, FaultsAreMergedAndStopWork) {
  Scenario scenario = one_device();
  scenario.events = {{.kind = DeviceEvent::Kind::kFault, .device = 0, .at_s = 3, .for_s = 1},
                     {.kind = DeviceEvent::Kind::kFault, .device = 0, .at_s = 1, .for_s = 1},
                     {.kind = DeviceEvent::Kind::kFault, .device = 0, .at_s = 1.5, .for_s = 1}};
  const DeviceModel device(scenario, 0, 1);
  ASSERT_EQ(device.faults().size(), 2);
  EXPECT_EQ(device.faults()[0], (std::pair<VirtualNs, VirtualNs>{1000 * kMs, 2500 * kMs}));
  EXPECT_NEAR(device.work_by(4000 * kMs), 1500e6, 1);
}

TEST(DeviceModel, NoiseHasItsMeanAndSpread) {
  const DeviceModel device(one_device(0.1), 0, 5);
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double speed = (device.work_by((i + 1) * kMs) - device.work_by(i * kMs)) / static_cast<double>(kMs);
    sum += speed;
    squares += speed * speed;
    EXPECT_LE(speed, device.fastest());
  }
  const double mean = sum / 10'000;
  EXPECT_NEAR(mean, 1, 0.005);  // standard error 0.001
  EXPECT_NEAR(std::sqrt(squares / 10'000 - mean * mean), 0.1, 0.005);
}

TEST(DeviceModel, FinishAndWorkAgree) {
  const DeviceModel device(one_device(0.2), 0, 9);
  for (int i = 0; i < 1000; ++i) {
    const VirtualNs start = i * 7'654'321LL;
    const double cost = device.cost_ns(0, 1 + i % 32);
    EXPECT_NEAR(device.work_by(device.finish(start, cost)) - device.work_by(start), cost, 2);
  }
}

TEST(DeviceModel, SeedsDiffer) {
  const DeviceModel a(one_device(0.1), 0, 1);
  const DeviceModel b(one_device(0.1), 0, 2);
  const DeviceModel again(one_device(0.1), 0, 1);
  EXPECT_NE(a.work_by(5000 * kMs), b.work_by(5000 * kMs));
  EXPECT_EQ(a.work_by(5000 * kMs), again.work_by(5000 * kMs));
}

}  // namespace
}  // namespace gantry::scheduler::sim
