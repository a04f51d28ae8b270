#include "gantry/scheduler/sim/stats.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::scheduler::sim {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

TEST(Quantile, IsTheNearestRank) {
  std::vector<std::uint32_t> values{50, 10, 40, 20, 30};
  EXPECT_EQ(quantile(values, 0), 10);
  EXPECT_EQ(quantile(values, 0.5), 30);
  EXPECT_EQ(quantile(values, 0.8), 40);
  EXPECT_EQ(quantile(values, 0.81), 50);
  EXPECT_EQ(quantile(values, 1), 50);
  std::vector<std::uint32_t> none;
  EXPECT_EQ(quantile(none, 0.5), 0);
}

TEST(FairSplit, GivesSmallDemandsInFullAndTheRestTheSame) {
  EXPECT_THAT(fair_split({10, 2, 10}, {1, 1, 1}, 12), ElementsAre(DoubleEq(5), DoubleEq(2), DoubleEq(5)));
}

TEST(FairSplit, FollowsWeights) {
  EXPECT_THAT(fair_split({10, 10}, {3, 1}, 8), ElementsAre(DoubleEq(6), DoubleEq(2)));
}

TEST(FairSplit, NeverGivesMoreThanIsAsked) {
  EXPECT_THAT(fair_split({1, 2}, {1, 1}, 100), ElementsAre(DoubleEq(1), DoubleEq(2)));
  EXPECT_THAT(fair_split({1, 2}, {1, 1}, 0), ElementsAre(DoubleEq(0), DoubleEq(0)));
}

TEST(Jain, IsOneWhenEverybodyGetsTheirShare) {
  EXPECT_DOUBLE_EQ(jain_index({5, 2}, {10, 4}), 1);
  EXPECT_DOUBLE_EQ(jain_index({}, {}), 1);
}

TEST(Jain, IsOneOverNWhenOneGetsAll) {
  EXPECT_DOUBLE_EQ(jain_index({4, 0, 0, 0}, {1, 1, 1, 1}), 0.25);
}

TEST(Jain, LeavesOutThoseEntitledToNothing) {
  EXPECT_DOUBLE_EQ(jain_index({3, 0}, {3, 0}), 1);
}

}  // namespace
}  // namespace gantry::scheduler::sim
