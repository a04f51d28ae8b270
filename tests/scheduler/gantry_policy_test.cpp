#include "gantry/scheduler/gantry_policy.hpp"

#include <gtest/gtest.h>

#include "scheduler/policy_driver.hpp"

namespace gantry::scheduler {
namespace {

using namespace test;

TestDevice device(DeviceId id, std::vector<LatencyPoint> table) {
  TestDevice out;
  out.spec.id = id;
  out.tables = {std::move(table)};
  return out;
}

/// `count` cameras at `fps` with phases spread by a fixed seed.
void add_cameras(PolicyDriver& driver, int count, double fps, Priority priority = Priority::kNormal,
                 Duration deadline = milliseconds{100}, CameraId first = 0) {
  std::mt19937_64 random(99 + first);
  for (int i = 0; i < count; ++i) {
    TestCamera camera;
    camera.spec.id = first + static_cast<CameraId>(i);
    camera.spec.priority = priority;
    camera.spec.period = Duration{static_cast<Duration::rep>(1e9 / fps)};
    camera.deadline = deadline;
    camera.phase =
        Duration{static_cast<Duration::rep>(random() % static_cast<std::uint64_t>(camera.spec.period.count()))};
    driver.add(camera);
  }
}

TEST(GantryPolicy, MeetsEveryDeadlineUnderCapacity) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  add_cameras(driver, 26, 30);  // 780 of 889 frames a second
  driver.run_until(seconds{20});
  driver.drain();
  EXPECT_GT(driver.total().goodput(), 0.999);
}

TEST(GantryPolicy, OverloadKeepsTheDeviceAtItsBestRateAndSharesFairly) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  add_cameras(driver, 45, 30);  // 150 %
  driver.run_until(seconds{30});
  driver.drain();
  const double best = 32 / 0.036 * 30;
  EXPECT_GT(static_cast<double>(driver.total().in_time), 0.97 * best);
  std::vector<double> shares;
  for (std::size_t i = 0; i < driver.arrived.size(); ++i)
    shares.push_back(static_cast<double>(driver.published[i]) / static_cast<double>(driver.arrived[i]));
  EXPECT_GT(jain(shares), 0.985);
}

TEST(GantryPolicy, UrgentFramesMakeItAtTwoAndAHalfTimesTheLoad) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  add_cameras(driver, 43, 30);
  add_cameras(driver, 2, 30, Priority::kUrgent, milliseconds{20}, 1000);
  driver.run_until(seconds{30});
  driver.drain();
  EXPECT_GT(driver.classes[1].goodput(), 0.999);
}

/// Three cameras of 25 frames/s on a device with time to spare, and a fourth that is held up for four seconds.
PolicyDriver& run_beside_a_backlog(PolicyDriver& driver, Duration held_until) {
  TestDevice eight = device(0, {{1, milliseconds{20}, {}}});
  eight.spec.max_batch = 1;
  eight.spec.concurrent_batches = 8;
  driver.add(eight);
  add_cameras(driver, 3, 25, Priority::kNormal, seconds{5});
  TestCamera held;
  held.spec.id = 100;
  held.spec.period = milliseconds{40};
  held.deadline = seconds{5};
  held.held_from = seconds{3};
  held.held_until = held_until;
  driver.add(held);
  driver.run_until(seconds{15});
  driver.drain();
  return driver;
}

TEST(GantryPolicy, ABacklogOfOneCameraStandsBeforeNobodyElsesFrames) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  run_beside_a_backlog(driver, seconds{7});
  for (std::size_t camera = 0; camera < 3; ++camera) {
    EXPECT_LT(driver.worst_wait_ms[camera], 1.0) << "a device was free all the time";
    EXPECT_EQ(driver.published[camera], driver.arrived[camera]);
  }
  const auto superseded = driver.total().drops[static_cast<int>(Outcome::kSuperseded)];
  EXPECT_GE(superseded, 90U) << "of the hundred that came at once";
  EXPECT_LE(superseded, 97U) << "its beat was held to be slower than it is";
  EXPECT_EQ(driver.published[3] + superseded, driver.arrived[3]);
}

TEST(GantryPolicy, AFewFramesThatTheNetworkBunchedAreNoBacklog) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  run_beside_a_backlog(driver, seconds{3} + milliseconds{110});  // three at once
  EXPECT_EQ(driver.total().in_time, driver.total().arrived);
}

PolicyReport report_of(const Policy& policy, const PolicyDriver& driver) {
  PolicyReport report;
  policy.report(report, driver.now());
  return report;
}

TEST(GantryPolicy, TheForecastShedsBackgroundOnArrivalAndNothingElse) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  add_cameras(driver, 20, 30);                                                  // 600 of 889 frames a second
  add_cameras(driver, 20, 30, Priority::kBackground, milliseconds{100}, 1000);  // and as much again
  driver.run_until(seconds{20});
  const PolicyReport report = report_of(policy, driver);
  EXPECT_NEAR(report.early_shed, (1200 - 889) / 600.0, 0.1);
  driver.drain();
  EXPECT_GT(driver.classes[2].goodput(), 0.999);
  const ClassTally& background = driver.classes[3];
  std::uint64_t dropped = 0;
  for (const auto n : background.drops) dropped += n;
  EXPECT_GT(static_cast<double>(background.drops[static_cast<int>(Outcome::kShed)]),
            0.9 * static_cast<double>(dropped));
  std::vector<double> shares;
  for (std::size_t i = 20; i < 40; ++i)
    shares.push_back(static_cast<double>(driver.published[i]) / static_cast<double>(driver.arrived[i]));
  EXPECT_GT(jain(shares), 0.99);
  EXPECT_GT(static_cast<double>(driver.total().in_time), 0.95 * 32 / 0.036 * 20);
}

TEST(GantryPolicy, ADeviceThatMeetsNoDeadlineIsTakenOutAndComesBack) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  TestDevice sick = device(0, slow_card());
  sick.factor = [](TimePoint now) { return now > TimePoint{seconds{2}} && now < TimePoint{seconds{25}} ? 50.0 : 1.0; };
  driver.add(sick);
  driver.add(device(1, slow_card()));
  add_cameras(driver, 16, 30);
  driver.run_until(seconds{20});
  PolicyReport report = report_of(policy, driver);
  EXPECT_NE(report.devices[0].breaker, "closed");
  EXPECT_EQ(report.devices[0].breaker_reason, "deadline_misses");
  EXPECT_EQ(report.devices[0].cameras, 0);
  EXPECT_EQ(report.devices[1].cameras, 16);
  driver.run_until(seconds{80});
  report = report_of(policy, driver);
  EXPECT_EQ(report.devices[0].breaker, "closed");
  EXPECT_GT(report.devices[0].cameras, 4) << "its cameras have come back";
  driver.drain();
  EXPECT_GT(driver.total().goodput(), 0.99);
}

TEST(GantryPolicy, ADeviceWithoutMemoryIsTakenOutUntilItHasSome) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  driver.add(device(1, slow_card()));
  add_cameras(driver, 16, 30);
  driver.at(seconds{2}, [&] { policy.on_memory(0, 0.99, driver.now()); });
  driver.at(seconds{10}, [&] { policy.on_memory(0, 0.5, driver.now()); });
  driver.run_until(seconds{9});
  EXPECT_EQ(report_of(policy, driver).devices[0].breaker, "open");
  EXPECT_EQ(report_of(policy, driver).devices[0].breaker_reason, "memory");
  EXPECT_EQ(report_of(policy, driver).devices[0].cameras, 0);
  driver.run_until(seconds{30});
  EXPECT_EQ(report_of(policy, driver).devices[0].breaker, "closed");
  driver.drain();
  EXPECT_GT(driver.total().goodput(), 0.99);
}

TEST(GantryPolicy, ReportsTheRushToComeAndTheBatchThatItNeeds) {
  GantryPolicy policy;
  PolicyDriver driver(policy, 1);
  driver.add(device(0, slow_card()));
  ASSERT_TRUE(policy.restore("gantry-load-profile 1\n0 67 9 150\n0 68 9 1200\n0 69 9 1000\n"));
  policy.on_wall_time({4, 16 * 3600 + 56 * 60}, driver.now());
  add_cameras(driver, 5, 30);
  driver.run_until(seconds{20});
  const PolicyReport report = report_of(policy, driver);
  EXPECT_NEAR(report.demand_now_fps, 150, 10);
  EXPECT_NEAR(report.demand_5min_fps, 1200, 100);
  EXPECT_NEAR(report.demand_peak_fps, 1200, 100);
  EXPECT_EQ(report.peak_at.second_of_day, 17 * 3600);
  EXPECT_LT(report.headroom, -0.2);
  EXPECT_EQ(report.devices[0].batch_now, 1);
  EXPECT_EQ(report.devices[0].batch_5min, 32);
  driver.drain();
}

}  // namespace
}  // namespace gantry::scheduler
