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
  EXPECT_GT(jain(shares), 0.995);
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

}  // namespace
}  // namespace gantry::scheduler
