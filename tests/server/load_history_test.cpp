#include "server/load_history.hpp"

#include <gtest/gtest.h>

namespace gantry::server {
namespace {

using std::chrono::seconds;

TEST(LoadHistory, KeepsOneSampleAStepWithTheRateOfThatStep) {
  LoadHistory load;
  scheduler::PolicyReport report;
  report.demand_5min_fps = 30;
  report.capacity_fps = 100;
  TimePoint now{seconds{1000}};
  std::uint64_t received = 500;
  for (int i = 0; i <= 20; ++i, now += seconds{1}, received += i < 10 ? 20 : 40) load.look(received, report, now);
  ASSERT_EQ(load.samples().size(), 4U);
  EXPECT_DOUBLE_EQ(load.samples().front().arrived_fps, 20);
  EXPECT_DOUBLE_EQ(load.samples().back().arrived_fps, 40);
  EXPECT_DOUBLE_EQ(load.samples().back().predicted_fps, 30);
  EXPECT_DOUBLE_EQ(load.samples().back().capacity_fps, 100);
  EXPECT_EQ(load.samples()[1].at - load.samples()[0].at, seconds{5});
}

TEST(LoadHistory, IsBounded) {
  LoadHistory load;
  TimePoint now{};
  for (std::size_t i = 0; i < 3 * LoadHistory::kMost; ++i, now += LoadHistory::kStep) load.look(i, {}, now);
  EXPECT_EQ(load.samples().size(), LoadHistory::kMost);
}

TEST(LoadHistory, LeavesOutAStepInWhichTheCountWentBack) {
  LoadHistory load;
  load.look(100, {}, TimePoint{});
  load.look(10, {}, TimePoint{seconds{5}});
  load.look(20, {}, TimePoint{seconds{10}});
  ASSERT_EQ(load.samples().size(), 1U);
  EXPECT_DOUBLE_EQ(load.samples()[0].arrived_fps, 2);
}

}  // namespace
}  // namespace gantry::server
