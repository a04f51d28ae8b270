#include "gantry/scheduler/sim/simulator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "gantry/core/expects.hpp"
#include "gantry/scheduler/sim/policies.hpp"

namespace gantry::scheduler::sim {
namespace {

constexpr VirtualNs kMs = 1'000'000;

Scenario small_scenario() {
  Scenario scenario;
  scenario.name = "small";
  scenario.setup = "test";
  scenario.duration_s = 2;
  scenario.shapes = {{.name = "640x384"}, {.name = "640x480", .cost = 1.25}};
  scenario.devices = {{.table = fixed_table("slow"), .noise = 0.05}, {.table = fixed_table("slow"), .noise = 0.05}};
  CameraGroup group{.count = 80, .jitter_ms = 2, .urgent_share = 0.05};
  group.shapes = {{0, 0.6}, {1, 0.4}};
  scenario.cameras = {group};
  scenario.events = {{.kind = DeviceEvent::Kind::kFault, .device = 1, .at_s = 0.5, .for_s = 0.5},
                     {.kind = DeviceEvent::Kind::kSlowDown, .device = 0, .at_s = 1.2, .for_s = 0.3, .factor = 3}};
  return scenario;
}

RunStats play(const Scenario& scenario, const std::string& policy, std::uint64_t seed,
              const Observer& observer = nullptr) {
  const auto fresh = make_policy(policy);
  return simulate(scenario, make_workload(scenario, seed), make_devices(scenario, seed), *fresh, observer);
}

class EveryPolicy : public testing::TestWithParam<std::string> {};

TEST_P(EveryPolicy, AccountsForEveryFrameUnderFaultsAndOverload) {
  const Scenario scenario = small_scenario();
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const std::size_t frames = make_workload(scenario, seed).frames.size();
    const RunStats stats = play(scenario, GetParam(), seed);
    EXPECT_EQ(stats.offered(), frames);
    std::uint64_t ended = 0;
    std::uint64_t failed = 0;
    for (const ClassStats& c : stats.classes) {
      EXPECT_EQ(std::accumulate(c.outcomes.begin(), c.outcomes.end(), std::uint64_t{0}), c.offered);
      ended += std::accumulate(c.outcomes.begin(), c.outcomes.end(), std::uint64_t{0});
      failed += c.outcomes[static_cast<std::size_t>(Outcome::kEngineError)];
    }
    EXPECT_EQ(ended, frames);
    EXPECT_GT(stats.in_time(), 0);
    EXPECT_LE(failed, 32);  // the one batch that was on the device when it died
    for (const double busy : stats.busy_share) EXPECT_LE(busy, 1.1);
  }
}

TEST_P(EveryPolicy, GivesTheSameBytesForTheSameSeed) {
  const Scenario scenario = small_scenario();
  std::vector<std::string> logs;
  for (int i = 0; i < 2; ++i) {
    std::string& log = logs.emplace_back();
    const RunStats stats = play(scenario, GetParam(), 3, [&](const Step& step) {
      log += std::to_string(static_cast<int>(step.kind)) + ' ' + std::to_string(step.at_ns) + ' ' +
             std::to_string(step.frame) + ' ' + std::to_string(step.device) + ' ' + std::to_string(step.batch.size()) +
             '\n';
    });
    EXPECT_GT(stats.batches, 0);
  }
  EXPECT_EQ(logs[0], logs[1]);
}

TEST_P(EveryPolicy, AnswersEverythingWhenThereIsTimeForIt) {
  Scenario scenario = small_scenario();
  scenario.events.clear();
  scenario.cameras = {{.count = 6, .fps_low = 10, .fps_high = 10, .deadline_ms = 400}};
  const RunStats stats = play(scenario, GetParam(), 1);
  EXPECT_EQ(stats.in_time(), stats.offered());
  EXPECT_DOUBLE_EQ(stats.jain, 1);
}

INSTANTIATE_TEST_SUITE_P(All, EveryPolicy, testing::ValuesIn(policy_names()),
                         [](const auto& test) { return test.param; });

/// Runs whatever comes alone, on device 0 when it is idle; `spoil` may then break the decision.
class OneByOne final : public Policy {
 public:
  using Spoil = std::function<void(OneByOne&, Decision&)>;
  explicit OneByOne(Spoil spoil = nullptr) : spoil_(std::move(spoil)) {}
  std::string_view name() const noexcept override { return "one_by_one"; }
  void add_device(const DeviceSpec&, TimePoint) override {}
  void set_profile(DeviceId, ShapeId, std::span<const LatencyPoint>, TimePoint) override {}
  void set_camera(const CameraSpec&, TimePoint) override {}
  void remove_camera(CameraId, TimePoint) override {}
  void on_arrival(const Arrival& arrival, TimePoint) override { waiting_.push_back(arrival); }
  void on_completion(const Completion& completion, TimePoint) override {
    EXPECT_EQ(completion.batch, batch_);
    idle_ = true;
  }
  void on_device_state(DeviceId, DeviceState state, TimePoint) override { up_ = state == DeviceState::kUp; }
  Decision decide(TimePoint) override {
    Decision decision;
    if (idle_ && up_ && next_ < waiting_.size()) {
      ticket_ = {waiting_[next_].frame};
      decision.launch = Launch{++batch_, 0, waiting_[next_].shape, ticket_, {}};
      ++next_;
      idle_ = false;
    }
    if (spoil_) spoil_(*this, decision);
    return decision;
  }

  std::vector<Arrival> waiting_;
  std::vector<FrameTicket> ticket_;
  std::vector<Drop> drops_;
  std::size_t next_ = 0;

 private:
  Spoil spoil_;
  BatchId batch_ = 0;
  bool idle_ = true;
  bool up_ = true;
};

Scenario three_frames() {
  Scenario scenario;
  scenario.duration_s = 0.1;
  scenario.shapes = {{.name = "640x384"}};
  scenario.devices = {{.table = fixed_table("slow")}};
  return scenario;
}

Workload three_frames_at(VirtualNs first, VirtualNs second, VirtualNs third, VirtualNs allowed) {
  Workload workload;
  workload.cameras.resize(3);
  CameraId camera = 0;
  for (const VirtualNs at : {first, second, third}) {
    workload.frames.push_back({.at_ns = at, .deadline_ns = at + allowed, .camera = camera++});
  }
  return workload;
}

TEST(Simulator, TimesAreExact) {
  // t(1) = 6 ms: started at 1, 7 and 13 ms.
  const Scenario scenario = three_frames();
  OneByOne policy;
  RunStats stats =
      simulate(scenario, three_frames_at(kMs, 2 * kMs, 3 * kMs, 12 * kMs), make_devices(scenario, 1), policy);
  const ClassStats& normal = stats.classes[static_cast<std::size_t>(Priority::kNormal)];
  EXPECT_THAT(normal.queue_wait_us, testing::ElementsAre(0, 5000, 10'000));
  EXPECT_THAT(normal.latency_us, testing::ElementsAre(6000, 11'000));  // the third ends 16 ms after it came
  EXPECT_EQ(normal.outcomes[static_cast<std::size_t>(Outcome::kPublishedLate)], 1);
  EXPECT_EQ(stats.batches, 3);
  EXPECT_NEAR(stats.busy_share[0], 0.18, 1e-9);
  EXPECT_NEAR(stats.goodput(), 2.0 / 3, 1e-12);
  EXPECT_EQ(stats.hopeless, 1);  // it had 2 ms left when it started
}

TEST(Simulator, ADeviceThatDiesTakesItsBatchAlong) {
  Scenario scenario = three_frames();
  scenario.events = {{.kind = DeviceEvent::Kind::kFault, .device = 0, .at_s = 0.004, .for_s = 0.010}};
  OneByOne policy;
  RunStats stats =
      simulate(scenario, three_frames_at(kMs, 2 * kMs, 3 * kMs, 100 * kMs), make_devices(scenario, 1), policy);
  const ClassStats& normal = stats.classes[static_cast<std::size_t>(Priority::kNormal)];
  EXPECT_EQ(normal.outcomes[static_cast<std::size_t>(Outcome::kEngineError)], 1);
  EXPECT_THAT(normal.queue_wait_us, testing::ElementsAre(0, 12'000, 17'000));
  EXPECT_EQ(normal.in_time(), 2);
}

struct Fault {
  std::string name;
  OneByOne::Spoil spoil;
  std::string says;
  friend void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }
};

class Misbehaviour : public testing::TestWithParam<Fault> {};

TEST_P(Misbehaviour, IsNamed) {
  const Scenario scenario = three_frames();
  OneByOne policy(GetParam().spoil);
  try {
    static_cast<void>(
        simulate(scenario, three_frames_at(kMs, 2 * kMs, 3 * kMs, 100 * kMs), make_devices(scenario, 1), policy));
    ADD_FAILURE() << "nothing was said";
  } catch (const PreconditionError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("one_by_one"), testing::HasSubstr(GetParam().says)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, Misbehaviour,
    testing::Values(Fault{"launches_twice",
                          [](OneByOne& p, Decision& d) {
                            if (!d.launch || p.next_ != 2) return;
                            p.ticket_ = {0};
                            d.launch->frames = p.ticket_;
                          },
                          "frame 0, which does not wait"},
                    Fault{"repeats_in_a_batch",
                          [](OneByOne& p, Decision& d) {
                            if (!d.launch) return;
                            p.ticket_ = {p.ticket_[0], p.ticket_[0]};
                            d.launch->frames = p.ticket_;
                          },
                          "frame 0, which does not wait"},
                    Fault{"launches_the_future",
                          [](OneByOne& p, Decision& d) {
                            if (!d.launch) return;
                            p.ticket_ = {2};
                            d.launch->frames = p.ticket_;
                          },
                          "frame 2, which does not wait"},
                    Fault{"no_such_device",
                          [](OneByOne&, Decision& d) {
                            if (d.launch) d.launch->device = 5;
                          },
                          "does not exist"},
                    Fault{"busy_device",
                          [](OneByOne& p, Decision& d) {
                            if (d.launch || p.waiting_.size() < 2) return;
                            p.ticket_ = {1};
                            d.launch = Launch{9, 0, 0, p.ticket_, {}};
                          },
                          "busy"},
                    Fault{"empty_batch",
                          [](OneByOne&, Decision& d) {
                            if (d.launch) d.launch->frames = {};
                          },
                          "batch of 0"},
                    Fault{"wrong_shape",
                          [](OneByOne&, Decision& d) {
                            if (d.launch) d.launch->shape = 1;
                          },
                          "shape"},
                    Fault{"drops_what_runs",
                          [](OneByOne& p, Decision& d) {
                            if (d.launch || p.next_ == 0) return;
                            p.drops_ = {{0, Outcome::kShed}};
                            d.drops = p.drops_;
                          },
                          "frame 0, which does not wait"},
                    Fault{"drops_as_published",
                          [](OneByOne& p, Decision& d) {
                            if (p.waiting_.empty() || !d.launch) return;
                            p.drops_ = {{0, Outcome::kPublished}};
                            d.drops = p.drops_;
                          },
                          "reason"},
                    Fault{"timer_in_the_past", [](OneByOne&, Decision& d) { d.wait_until = TimePoint{}; },
                          "has passed"},
                    Fault{"forgets_a_frame", [](OneByOne&, Decision& d) { d.launch.reset(); }, "waits for nothing"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace gantry::scheduler::sim
