#include "app/spill_plan.hpp"

#include <gtest/gtest.h>

namespace gantry::app {
namespace {

using std::chrono::seconds;

/// Once a second.
class SpillPlanTest : public testing::Test {
 protected:
  int tick(double decoders, double cores, int on_card, int on_cpu) {
    now_ += seconds{1};
    return plan_.update({decoders, cores, on_card, on_cpu}, now_);
  }
  SpillPlan plan_;
  TimePoint now_{seconds{100}};
};

TEST_F(SpillPlanTest, ACardWithTimeLeftKeepsItsCameras) {
  for (int i = 0; i < 60; ++i) EXPECT_EQ(tick(0.97, 0.2, 350, 0), 0);
}

TEST_F(SpillPlanTest, AFullOneGivesASmallStepAwayAfterSomeSeconds) {
  EXPECT_EQ(tick(1, 0.2, 350, 0), 0);
  EXPECT_EQ(tick(1, 0.2, 350, 0), 0);
  EXPECT_EQ(tick(1, 0.2, 350, 0), 7);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(tick(1, 0.3, 343, 7), 0) << "the step must show first";
  EXPECT_EQ(tick(1, 0.3, 343, 7), 7);
}

TEST_F(SpillPlanTest, AMomentIsNoReason) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(tick(1, 0.2, 350, 0), 0);
    EXPECT_EQ(tick(1, 0.2, 350, 0), 0);
    EXPECT_EQ(tick(0.9, 0.2, 350, 0), 0);
  }
}

TEST_F(SpillPlanTest, BusyCoresTakeNothing) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(tick(1, 0.8, 350, 0), 0);
}

TEST_F(SpillPlanTest, CamerasComeBackWhereThereIsRoomForThem) {
  for (int i = 0; i < SpillPlan::kRoomFor - 1; ++i) EXPECT_EQ(tick(0.8, 0.3, 280, 20), 0);
  EXPECT_EQ(tick(0.8, 0.3, 280, 20), -6);
  EXPECT_EQ(tick(0.94, 0.3, 286, 1), 0);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(tick(0.949, 0.3, 286, 14), 0) << "one step more would fill the card";
}

TEST_F(SpillPlanTest, BusyCoresAreRelievedAtOnceWhereTheCardHasRoom) {
  EXPECT_EQ(tick(0.7, 0.97, 100, 30), -2);
}

TEST_F(SpillPlanTest, NeverMovesMoreThanThereAre) {
  for (int i = 0; i < 2; ++i) EXPECT_EQ(tick(1, 0, 1, 0), 0);
  EXPECT_EQ(tick(1, 0, 1, 0), 1);
  for (int i = 0; i < 40; ++i) EXPECT_GE(tick(0.1, 0, 100, 1), -1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(tick(0, 0, 0, 0), 0);
}

TEST_F(SpillPlanTest, ALoadThatSettlesIsLeftAlone) {
  // Decoders do 350 cameras in all their time; 360 send.
  int on_card = 360, on_cpu = 0, moves = 0;
  for (int i = 0; i < 600; ++i) {
    const int move = tick(std::min(1.0, on_card / 350.0), 0.3, on_card, on_cpu);
    on_card -= move;
    on_cpu += move;
    moves += move != 0;
  }
  EXPECT_LE(on_card / 350.0, SpillPlan::kFull);
  EXPECT_GE(on_card / 350.0, 0.93);
  EXPECT_LE(moves, 4) << "cameras go to and fro";
}

}  // namespace
}  // namespace gantry::app
