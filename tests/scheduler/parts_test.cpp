// The policy's parts on their own: latency model, breaker and ladder, load predictor, histogram, beat.
#include <gtest/gtest.h>

#include <random>

#include "gantry/core/expects.hpp"
#include "gantry/scheduler/breaker.hpp"
#include "gantry/scheduler/histogram.hpp"
#include "gantry/scheduler/latency_model.hpp"
#include "gantry/scheduler/load_predictor.hpp"
#include "scheduler/beat.hpp"
#include "scheduler/policy_driver.hpp"

namespace gantry::scheduler {
namespace {

using namespace test;

double ms(double ns) {
  return ns / 1e6;
}

class LatencyModelTest : public ::testing::Test {
 protected:
  void SetUp() override { model.set_profile(0, 0, 32, slow_card()); }
  LatencyModel model;
  std::mt19937_64 random{3};
  double noisy(double ns) { return ns * std::exp(std::normal_distribution<double>{0, 0.03}(random)); }
};

TEST_F(LatencyModelTest, StartsFromTheProfileAndInterpolates) {
  EXPECT_DOUBLE_EQ(ms(model.mean_ns(0, 0, 1)), 6);
  EXPECT_DOUBLE_EQ(ms(model.mean_ns(0, 0, 8)), 12);
  EXPECT_DOUBLE_EQ(ms(model.mean_ns(0, 0, 12)), 16);
  EXPECT_EQ(model.best_batch(0, 0, 32), 32);
  EXPECT_EQ(model.largest_batch(0, 0, 14e6, 1), 10);
  EXPECT_EQ(model.largest_batch(0, 0, 5e6, 1), 0);
  EXPECT_FALSE(model.knows(0, 1));
  EXPECT_FALSE(model.knows(1, 0));
}

TEST_F(LatencyModelTest, NoticesASlowDownWithinTenBatchesAndItsEnd) {
  for (int i = 0; i < 200; ++i) model.observe(0, 0, 1 + i % 32, noisy(model.profiled_ns(0, 0, 1 + i % 32)));
  EXPECT_NEAR(model.slowdown(0), 1, 0.1);
  int batches = 0;
  for (; batches < 100 && std::abs(model.mean_ns(0, 0, 16) / (3 * 20e6) - 1) > 0.1; ++batches)
    model.observe(0, 0, 16, noisy(3 * 20e6));
  EXPECT_LE(batches, 10);
  for (batches = 0; batches < 100 && std::abs(model.mean_ns(0, 0, 16) / 20e6 - 1) > 0.1; ++batches)
    model.observe(0, 0, 16, noisy(20e6));
  EXPECT_LE(batches, 10);
}

TEST_F(LatencyModelTest, OneOutlierMovesLittle) {
  for (int i = 0; i < 100; ++i) model.observe(0, 0, 8, noisy(12e6));
  const double before = model.mean_ns(0, 0, 8);
  model.observe(0, 0, 8, 100 * 12e6);
  EXPECT_NEAR(model.mean_ns(0, 0, 8) / before, 1, 0.02);
}

TEST_F(LatencyModelTest, LearnsEachBatchSizeAndTheHighQuantile) {
  // The truth is 10 % slower than the profile at 32 and as profiled at 1; one batch in 50 takes half as long again.
  for (int i = 0; i < 5000; ++i) {
    const double spike = i % 50 == 0 ? 1.5 : 1;
    model.observe(0, 0, 32, noisy(1.1 * 36e6) * spike);
    model.observe(0, 0, 1, noisy(6e6) * spike);
  }
  EXPECT_NEAR(ms(model.mean_ns(0, 0, 32)), 1.1 * 36, 1.5);
  EXPECT_NEAR(ms(model.mean_ns(0, 0, 1)), 6, 0.3);
  EXPECT_GT(model.high_factor(0, 0), 1.3);
  EXPECT_LT(model.high_factor(0, 0), 1.8);
}

TEST_F(LatencyModelTest, ATimeNeverFallsWithTheBatch) {
  for (int i = 0; i < 2000; ++i) {
    const int batch = 1 + static_cast<int>(random() % 32);
    model.observe(0, 0, batch, noisy(20e6) * (batch == 16 ? 0.7 : 1.2));
    for (int b = 2; b <= 32; ++b) ASSERT_GE(model.mean_ns(0, 0, b), model.mean_ns(0, 0, b - 1));
  }
}

TEST_F(LatencyModelTest, RefusesProfilesThatMakeNoSense) {
  EXPECT_THROW(model.set_profile(0, 0, 32, {}), PreconditionError);
  const std::vector<LatencyPoint> falling{{4, milliseconds{1}, {}}, {2, milliseconds{2}, {}}};
  EXPECT_THROW(model.set_profile(0, 0, 32, falling), PreconditionError);
  const std::vector<LatencyPoint> zero{{1, milliseconds{0}, {}}};
  EXPECT_THROW(model.set_profile(0, 0, 32, zero), PreconditionError);
}

TEST(CircuitBreaker, OpensOnErrorsInARowTriesAndCloses) {
  CircuitBreaker breaker;
  TimePoint now{};
  for (int i = 0; i < CircuitBreaker::kErrorsInARow; ++i) breaker.on_batch(BatchStatus::kError, false, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kOpen);
  EXPECT_EQ(breaker.reason(), BreakerReason::kErrors);
  EXPECT_FALSE(breaker.poll(now + milliseconds{999}));
  EXPECT_TRUE(breaker.poll(now + milliseconds{1000}));
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kHalfOpen);
  now += seconds{1};
  breaker.on_batch(BatchStatus::kOk, false, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kHalfOpen);
  breaker.on_batch(BatchStatus::kOk, false, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kClosed);
}

TEST(CircuitBreaker, OneTimeoutOpensAndARelapseHoldsLonger) {
  CircuitBreaker breaker;
  TimePoint now{};
  Duration expected = seconds{1};
  for (int i = 0; i < 7; ++i) {
    breaker.on_batch(BatchStatus::kTimeout, false, now);
    EXPECT_EQ(breaker.reason(), BreakerReason::kTimeouts);
    EXPECT_EQ(breaker.next_change(), now + expected);
    now = breaker.next_change();
    breaker.poll(now);
    expected = std::min<Duration>(expected * 2, CircuitBreaker::kLongestHold);
  }
}

TEST(CircuitBreaker, OpensWhereNearlyEveryAnswerComesLateInSpiteOfWhatWasLearned) {
  CircuitBreaker breaker;
  TimePoint now{};
  for (int i = 0; i < 10 * CircuitBreaker::kWindow; ++i) breaker.on_batch(BatchStatus::kOk, i % 4 != 0, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kClosed) << "a quarter in time is worth having";
  for (int i = 0; i < CircuitBreaker::kWindow; ++i) breaker.on_batch(BatchStatus::kOk, true, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kOpen);
  EXPECT_EQ(breaker.reason(), BreakerReason::kDeadlineMisses);
  now = breaker.next_change();
  ASSERT_TRUE(breaker.poll(now));
  breaker.on_batch(BatchStatus::kOk, false, now);
  breaker.on_batch(BatchStatus::kOk, true, now);
  EXPECT_EQ(breaker.state(), CircuitBreaker::State::kOpen) << "a trial that is late is no good one";
  EXPECT_EQ(breaker.next_change(), now + 2 * CircuitBreaker::kFirstHold);
}

TEST(CircuitBreaker, MemoryOpensItUntilThereIsRoom) {
  CircuitBreaker breaker;
  TimePoint now{};
  breaker.on_memory(0.99, now);
  EXPECT_EQ(breaker.reason(), BreakerReason::kMemory);
  EXPECT_FALSE(breaker.poll(now + seconds{60}));
  breaker.on_memory(0.5, now + seconds{61});
  EXPECT_TRUE(breaker.poll(now + seconds{61}));
}

TEST(CircuitBreaker, NeverOpensTwiceWithinItsHold) {
  std::mt19937_64 random(11);
  CircuitBreaker breaker;
  TimePoint now{};
  TimePoint opened{};
  std::uint64_t times = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += microseconds{random() % 20'000};
    breaker.poll(now);
    const auto dice = random() % 10;
    if (dice < 8)
      breaker.on_batch(random() % 3 == 0 ? BatchStatus::kError : BatchStatus::kOk, random() % 2 == 0, now);
    else if (dice == 8)
      breaker.on_batch(random() % 50 == 0 ? BatchStatus::kTimeout : BatchStatus::kOk, true, now);
    else
      breaker.on_memory(static_cast<double>(random() % 1000) / 1000, now);
    if (breaker.times_opened() == times) continue;
    if (times > 0) {
      ASSERT_GE(now - opened, CircuitBreaker::kFirstHold);
    }
    times = breaker.times_opened();
    opened = now;
  }
  EXPECT_GT(times, 20U);
}

TEST(DegradeLadder, ClimbsWhileResultsAreLateAndComesDownSlowly) {
  DegradeLadder ladder;
  TimePoint now{};
  const auto second = [&](int late) {
    for (int i = 0; i < 10; ++i) {
      ladder.on_batch(BatchStatus::kOk, 10, late, now);
      now += milliseconds{100};
    }
  };
  for (int i = 0; i < 5; ++i) second(5);
  EXPECT_EQ(ladder.step(), DegradeLadder::kLowerRate);
  EXPECT_EQ(ladder.reason(), BreakerReason::kDeadlineMisses);
  for (int i = 0; i < 20; ++i) second(5);
  EXPECT_EQ(ladder.step(), DegradeLadder::kOpen);
  for (int i = 0; i < 4; ++i) second(0);
  EXPECT_EQ(ladder.step(), DegradeLadder::kOpen) << "hysteresis";
  for (int i = 0; i < 30; ++i) second(0);
  EXPECT_EQ(ladder.step(), DegradeLadder::kNone);
}

TEST(DegradeLadder, StepsAreNeverCloserThanItsPeriods) {
  std::mt19937_64 random(12);
  DegradeLadder ladder;
  TimePoint now{};
  TimePoint changed{};
  int step = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += microseconds{random() % 50'000};
    const int frames = static_cast<int>(random() % 32);
    const bool bad_time = (now.time_since_epoch() / seconds{7}) % 2 == 0;
    ladder.on_batch(random() % 20 == 0 ? BatchStatus::kError : BatchStatus::kOk, frames, bad_time ? frames / 2 : 0,
                    now);
    if (ladder.step() == step) continue;
    const auto least = ladder.step() > step ? DegradeLadder::kBadPeriods : DegradeLadder::kGoodPeriods;
    ASSERT_GE(now - changed, (least - 1) * DegradeLadder::kPeriod);
    ASSERT_EQ(std::abs(ladder.step() - step), 1);
    step = ladder.step();
    changed = now;
  }
}

TEST(LoadPredictor, FollowsLevelAndTrend) {
  LoadPredictor load;
  TimePoint now{};
  for (int s = 0; s < 120; ++s) {
    load.on_arrivals(1000 + 10 * s, now);
    now += seconds{1};
  }
  load.poll(now);
  EXPECT_NEAR(load.demand_fps(seconds{1}), 2200, 60);
  EXPECT_NEAR(load.trend_fps_per_s(), 10, 2);
  EXPECT_GT(load.demand_fps(seconds{30}), load.demand_fps(seconds{1}) + 100);
}

TEST(LoadPredictor, KnowsTheRushHourAfterADayAndAfterARestart) {
  LoadPredictor load;
  TimePoint now{};
  const auto rush = [](int second) { return second >= 17 * 3600 && second < 18 * 3600; };
  for (int second = 0; second < 86'400; ++second) {
    if (second % 60 == 0) load.set_wall_time({2, second}, now);
    load.on_arrivals(rush(second) ? 300 : 100, now);
    now += seconds{1};
  }
  load.set_wall_time({3, 0}, now);
  load.poll(now + seconds{1});
  EXPECT_NEAR(load.profile_fps({4, 17 * 3600 + 1000}), 300, 5);
  EXPECT_NEAR(load.profile_fps({4, 12 * 3600}), 100, 5);
  EXPECT_LT(load.profile_fps({0, 12 * 3600}), 0) << "no weekend was seen";

  LoadPredictor next;
  ASSERT_TRUE(next.restore(load.save()));
  TimePoint later{};
  for (int second = 16 * 3600 + 57 * 60; second < 16 * 3600 + 59 * 60; ++second) {
    next.set_wall_time({4, second}, later);
    next.on_arrivals(100, later);
    later += seconds{1};
  }
  EXPECT_NEAR(next.demand_fps(seconds{1}), 100, 10);
  EXPECT_NEAR(next.demand_fps(std::chrono::minutes{5}), 300, 30);
}

TEST(LoadPredictor, FindsThePeakOfTheDayToCome) {
  LoadPredictor load;
  EXPECT_FALSE(load.peak(std::chrono::hours{24})) << "nothing is known yet";
  ASSERT_TRUE(load.restore("gantry-load-profile 1\n0 36 5 400\n0 48 5 100\n0 68 5 300\n"));
  TimePoint now{};
  load.set_wall_time({2, 12 * 3600}, now);  // a Tuesday
  for (int s = 0; s < 10; ++s, now += seconds{1}) load.on_arrivals(200, now);
  load.poll(now);
  // Today is twice as busy as other days at noon.
  const auto evening = load.peak(std::chrono::hours{12});
  ASSERT_TRUE(evening);
  EXPECT_EQ(evening->at.second_of_day, 17 * 3600);
  EXPECT_NEAR(evening->fps, 600, 20);
  const auto morning = load.peak(std::chrono::hours{24});
  ASSERT_TRUE(morning);
  EXPECT_EQ(morning->at.second_of_day, 9 * 3600);
  EXPECT_EQ(morning->at.weekday, 3);
  EXPECT_FALSE(load.peak(std::chrono::hours{1})) << "no quarter of the next hour was seen";
}

TEST(LoadPredictor, AJumpingWallClockDoesNotMoveTheForecast) {
  LoadPredictor load;
  TimePoint now{};
  for (int s = 0; s < 600; ++s) {
    load.set_wall_time({s % 7, (s * 7919) % 86'400}, now);
    load.on_arrivals(500, now);
    now += seconds{1};
  }
  EXPECT_NEAR(load.demand_fps(seconds{1}), 500, 5);
}

TEST(LoadPredictor, RefusesADamagedProfileAndKeepsItsOwn) {
  LoadPredictor load;
  ASSERT_TRUE(load.restore("gantry-load-profile 1\n0 68 3 250.5\n"));
  for (const char* bad :
       {"", "something else\n", "gantry-load-profile 1\n0 96 1 10\n", "gantry-load-profile 1\n0 1 0 10\n",
        "gantry-load-profile 1\n2 1 1 10\n", "gantry-load-profile 1\n0 1 1 -5\n", "gantry-load-profile 1\n0 1 1 nan\n",
        "gantry-load-profile 1\n0 1 1 5 6\n"}) {
    const auto result = load.restore(bad);
    EXPECT_FALSE(result) << bad;
    EXPECT_NE(result.error().message.find("line"), std::string::npos);
  }
  EXPECT_DOUBLE_EQ(load.profile_fps({1, 17 * 3600}), 250.5);
}

TEST(Histogram, QuantilesAreWithinABucket) {
  Histogram histogram;
  for (int i = 1; i <= 10'000; ++i) histogram.add(i * 1e-4);
  EXPECT_EQ(histogram.count(), 10'000U);
  EXPECT_NEAR(histogram.quantile(0.5), 0.5, 0.05);
  EXPECT_NEAR(histogram.quantile(0.99), 0.99, 0.1);
  EXPECT_NEAR(histogram.mean(), 0.50005, 1e-6);
  EXPECT_EQ(Histogram{}.quantile(0.5), 0);
}

TEST(Beat, FindsPeriodAndPhaseThroughJitterAndGaps) {
  std::mt19937_64 random(4);
  Beat beat;
  Ns due = 5'000'000;
  for (int i = 0; i < 3000; ++i) {
    const auto jitter = static_cast<Ns>(std::uniform_int_distribution<int>{-2'000'000, 2'000'000}(random));
    if (i % 17 != 0) beat.arrive(due + jitter);  // some frames are lost on the way
    due += 33'333'333;
  }
  ASSERT_TRUE(beat.steady());
  EXPECT_NEAR(static_cast<double>(beat.next()), static_cast<double>(due), 1'000'000);
  EXPECT_LE(beat.earliest(due - 30'000'000), due - 2'000'000);
  EXPECT_GE(beat.earliest(due - 30'000'000), due - 4'000'000);
  EXPECT_EQ(beat.earliest(due + 1'000'000), due + 1'000'000) << "still to come";
  EXPECT_GT(beat.earliest(due + 10'000'000), due + 20'000'000) << "lost: the next one";
}

TEST(Beat, RandomArrivalsHaveNone) {
  std::mt19937_64 random(4);
  Beat beat;
  Ns now = 0;
  int steady = 0;
  for (int i = 0; i < 1000; ++i) {
    now += static_cast<Ns>(std::exponential_distribution<double>{1 / 33e6}(random)) + 1;
    beat.arrive(now);
    steady += beat.steady() ? 1 : 0;
  }
  EXPECT_LT(steady, 200);
}

}  // namespace
}  // namespace gantry::scheduler
