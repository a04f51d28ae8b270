// Each baseline does what its system is published to do, on arrivals small enough to follow by hand. The device is the
// slow card: t(1) 6, t(4) 9, t(8) 12, t(16) 20, t(32) 36 ms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gantry/core/errors.hpp"
#include "gantry/scheduler/sim/policies.hpp"
#include "gantry/scheduler/sim/simulator.hpp"

namespace gantry::scheduler::sim {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;

constexpr VirtualNs kMs = 1'000'000;

struct Started {
  double at_ms = 0;
  std::vector<FrameTicket> frames;
};
struct Dropped {
  double at_ms = 0;
  FrameTicket frame = 0;
  Outcome reason = Outcome::kShed;
};
struct Played {
  std::vector<Started> launches;
  std::vector<Dropped> drops;
};

class Baseline : public testing::Test {
 protected:
  Baseline() {
    scenario_.name = scenario_.setup = "test";
    scenario_.duration_s = 1;
    scenario_.shapes = {{.name = "640x384"}, {.name = "640x480"}};
    scenario_.devices = {{.table = fixed_table("slow")}};
    // The arrivals end late enough for no policy to hurry because of it.
    frame(900, 100);
  }

  /// The ticket of a frame is its place in the order of arrival.
  void frame(double at_ms, double allowed_ms, Priority priority = Priority::kNormal, std::uint8_t shape = 0) {
    const auto at = static_cast<VirtualNs>(at_ms * kMs);
    const WorkFrame frame{.at_ns = at,
                          .deadline_ns = at + static_cast<VirtualNs>(allowed_ms * kMs),
                          .camera = static_cast<CameraId>(workload_.frames.size()),
                          .priority = priority,
                          .shape = shape};
    workload_.cameras.emplace_back();
    const auto place = std::upper_bound(workload_.frames.begin(), workload_.frames.end(), at,
                                        [](VirtualNs t, const WorkFrame& f) { return t < f.at_ns; });
    workload_.frames.insert(place, frame);
  }
  void frames(int count, double at_ms, double allowed_ms) {
    for (int i = 0; i < count; ++i) frame(at_ms, allowed_ms);
  }

  Played play(const std::string& policy) const {
    Played played;
    const auto fresh = make_policy(policy);
    static_cast<void>(simulate(scenario_, workload_, make_devices(scenario_, 1), *fresh, [&](const Step& step) {
      const double at_ms = static_cast<double>(step.at_ns) / kMs;
      if (at_ms >= 900) return;
      if (step.kind == Step::Kind::kLaunch) played.launches.push_back({at_ms, {step.batch.begin(), step.batch.end()}});
      if (step.kind == Step::Kind::kDrop) played.drops.push_back({at_ms, step.frame, step.reason});
    }));
    return played;
  }

  static std::vector<std::size_t> sizes(const Played& played) {
    std::vector<std::size_t> sizes;
    for (const Started& started : played.launches) sizes.push_back(started.frames.size());
    return sizes;
  }

  Scenario scenario_;
  Workload workload_;
};

TEST_F(Baseline, FixedTimeoutWaitsTenMillisecondsForMore) {
  frame(1, 100);
  frame(8, 100);
  frame(12, 100);
  EXPECT_THAT(play("fixed_timeout").launches,
              ElementsAre(FieldsAre(11.0, ElementsAre(0, 1)), FieldsAre(22.0, ElementsAre(2))));
}

TEST_F(Baseline, FixedTimeoutSendsAFullBatchAtOnce) {
  frames(33, 1, 100);
  const Played played = play("fixed_timeout");
  EXPECT_THAT(sizes(played), ElementsAre(32, 1));
  EXPECT_EQ(played.launches[0].at_ms, 1);
  EXPECT_EQ(played.launches[1].at_ms, 37);
}

TEST_F(Baseline, FixedTimeoutRunsWhatWillBeLate) {
  frames(32, 1, 100);
  frame(2, 34);  // past its deadline when the device is free, at 37 ms
  frame(2, 36);  // 1 ms before it
  const Played played = play("fixed_timeout");
  EXPECT_THAT(sizes(played), ElementsAre(32, 1));
  EXPECT_EQ(played.drops.size(), 1);
}

TEST_F(Baseline, TritonSendsPreferredSizesAndWaitsItsDelayOtherwise) {
  frames(9, 1, 100);
  const Played played = play("triton");
  EXPECT_THAT(sizes(played), ElementsAre(8, 1));
  EXPECT_EQ(played.launches[0].at_ms, 1);
  frames(3, 50, 100);
  EXPECT_EQ(play("triton").launches.back().at_ms, 52);
}

TEST_F(Baseline, TritonTakesUrgentLevelsFirst) {
  frames(32, 1, 200);
  frames(8, 2, 200);
  frame(3, 200, Priority::kUrgent);
  const Played played = play("triton");
  EXPECT_THAT(sizes(played), ElementsAre(32, 8, 1));
  EXPECT_EQ(played.launches[1].frames.front(), 40);
}

TEST_F(Baseline, TritonSeesTimeoutsOnlyWhenItFormsABatch) {
  frames(32, 1, 200);
  frame(2, 40);  // times out at 22 ms, while the first batch runs until 37 ms
  EXPECT_THAT(play("triton").drops, ElementsAre(FieldsAre(37.0, 32U, Outcome::kExpired)));
}

TEST_F(Baseline, ClockworkStartsAtOnceAndNeverWhatWouldBeLate) {
  frame(1, 100);
  frame(2, 9);   // free at 7 ms, would end at 13 ms: too late
  frame(3, 10);  // would end at 13 ms, just in time
  const Played played = play("clockwork");
  EXPECT_THAT(played.launches, ElementsAre(FieldsAre(1.0, ElementsAre(0)), FieldsAre(7.0, ElementsAre(2))));
  EXPECT_THAT(played.drops, ElementsAre(FieldsAre(7.0, 1U, Outcome::kPredictedLate)));
}

TEST_F(Baseline, ClockworkRunsTheStrategyThatMustStartSoonest) {
  frame(1, 100);
  frames(5, 2, 100);  // five wait at 7 ms: sizes 4, 2 and 1 are filled, and 4 must start soonest
  EXPECT_THAT(sizes(play("clockwork")), ElementsAre(1, 4, 1));
}

TEST_F(Baseline, NexusDropsTheHeadThatCannotWaitForTheWindow) {
  frames(32, 1, 100);
  frame(2, 42);                              // at 37 ms it has 7 ms, and the window of nine takes 13 ms
  for (int i = 0; i < 8; ++i) frame(3, 42);  // these have 8 ms, the time that three take: five must go
  const Played early = play("nexus");
  EXPECT_THAT(sizes(early), ElementsAre(32, 3));
  EXPECT_EQ(early.drops.size(), 6);
}

TEST_F(Baseline, LockstepWaitsForEveryCameraOfItsGroup) {
  scenario_.duration_s = 1;
  workload_ = {};
  workload_.cameras.resize(3);
  const auto arrive = [&](double at_ms, CameraId camera) {
    const auto at = static_cast<VirtualNs>(at_ms * kMs);
    workload_.frames.push_back({.at_ns = at, .deadline_ns = at + 100 * kMs, .camera = camera});
  };
  arrive(1, 0);
  arrive(1, 1);  // the group of two is complete as far as anybody knows: runs at 1 ms
  arrive(20, 0);
  arrive(30, 0);  // newest wins
  arrive(40, 1);  // complete again
  arrive(50, 0);  // alone: runs a frame time later, at 83.3 ms
  arrive(900, 2);
  const Played played = play("lockstep");
  ASSERT_EQ(played.launches.size(), 3);
  EXPECT_THAT(played.launches[0], FieldsAre(1.0, ElementsAre(0, 1)));
  EXPECT_THAT(played.launches[1], FieldsAre(40.0, ElementsAre(3, 4)));
  EXPECT_NEAR(played.launches[2].at_ms, 83.333, 0.001);
  EXPECT_THAT(played.drops, ElementsAre(FieldsAre(30.0, 2U, Outcome::kSuperseded)));
}

TEST_F(Baseline, NoneMixesShapesOrUsesADeviceThatIsDown) {
  for (int i = 0; i < 40; ++i) frame(1 + i, 300, Priority::kNormal, static_cast<std::uint8_t>(i % 2));
  scenario_.events = {{.kind = DeviceEvent::Kind::kFault, .device = 0, .at_s = 0.010, .for_s = 0.050}};
  for (const std::string& name : policy_names()) {
    const Played played = play(name);  // the simulator throws when shapes are mixed or the device is down
    EXPECT_GE(played.launches.size(), 2) << name;
  }
}

TEST_F(Baseline, RemovedCamerasGiveTheirFramesBack) {
  for (const std::string& name : policy_names()) {
    if (name == "gantry") continue;  // drops at once what no device can run
    const auto policy = make_policy(name);
    const TimePoint now{std::chrono::milliseconds(1)};
    policy->add_device({.id = 0}, now);
    const std::vector<LatencyPoint> points{{1, std::chrono::milliseconds(5), {}},
                                           {32, std::chrono::milliseconds(9), {}}};
    policy->set_profile(0, 0, points, now);
    policy->on_device_state(0, DeviceState::kDown, now);
    for (CameraId camera = 0; camera < 2; ++camera) {
      policy->set_camera({.id = camera}, now);
      policy->on_arrival(
          {.frame = camera, .camera = camera, .captured_at = now, .deadline = now + std::chrono::seconds(1)}, now);
    }
    policy->remove_camera(1, now);
    const Decision decision = policy->decide(now);
    ASSERT_EQ(decision.drops.size(), 1) << name;
    EXPECT_EQ(decision.drops[0].frame, 1) << name;
    EXPECT_EQ(decision.drops[0].reason, Outcome::kCameraRemoved) << name;
  }
}

TEST(Policies, UnknownNamesAreAnswered) {
  try {
    static_cast<void>(make_policy("best"));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("'best'"), testing::HasSubstr("clockwork")));
  }
}

TEST(Policies, EachHasItsName) {
  for (const std::string& name : policy_names()) EXPECT_EQ(make_policy(name)->name(), name);
}

}  // namespace
}  // namespace gantry::scheduler::sim
