#include "app/load_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry::app {
namespace {

using media::SkipLevel;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

/// A clock that a test turns.
class TestClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

/// Decides nothing and reports what a test says.
class ReportingPolicy final : public scheduler::Policy {
 public:
  explicit ReportingPolicy(const scheduler::PolicyReport& report) : report_(report) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "reporting"; }
  void add_device(const scheduler::DeviceSpec&, TimePoint) override {}
  void set_profile(scheduler::DeviceId, scheduler::ShapeId, std::span<const scheduler::LatencyPoint>,
                   TimePoint) override {}
  void set_camera(const scheduler::CameraSpec&, TimePoint) override {}
  void remove_camera(CameraId, TimePoint) override {}
  void on_arrival(const scheduler::Arrival&, TimePoint) override {}
  void on_completion(const scheduler::Completion&, TimePoint) override {}
  void on_device_state(scheduler::DeviceId, scheduler::DeviceState, TimePoint) override {}
  [[nodiscard]] scheduler::Decision decide(TimePoint) override { return {}; }
  void report(scheduler::PolicyReport& out, TimePoint) const override { out = report_; }

 private:
  const scheduler::PolicyReport& report_;
};

/// A dispatcher that is never started: time is the test's, and nothing runs.
class LoadWatchTest : public testing::Test {
 protected:
  LoadWatchTest()
      : dispatcher(
            std::make_unique<scheduler::GantryPolicy>(), [](scheduler::FrameEnd&) {}, clock) {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-load-XXXXXX").string();
    folder = mkdtemp(name.data());
    const auto device = dispatcher.add_device("gpu", 32);
    dispatcher.set_backend(device, 0, backend);
  }
  ~LoadWatchTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  LoadWatch make() {
    return LoadWatch{dispatcher,
                     {.wall_time = [this] { return wall; },
                      .memory = [this] { return memory; },
                      .measure_again = [this] { ++measured; },
                      .on_report = [this](const scheduler::PolicyReport& report, TimePoint) { last = report; },
                      .log = [this](Severity, std::string_view text) { log += std::string(text) + '\n'; },
                      .profile = profile()},
                     clock.now()};
  }
  [[nodiscard]] std::filesystem::path profile() const { return folder / "load.txt"; }
  [[nodiscard]] std::string kept() const {
    std::ifstream file{profile()};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  void keep(const std::string& text) const { std::ofstream{profile()} << text; }
  [[nodiscard]] int count(const std::string& what) const {
    int found = 0;
    for (auto at = log.find(what); at != std::string::npos; at = log.find(what, at + 1)) ++found;
    return found;
  }

  /// Knows its times and runs nothing.
  class Profiled final : public engine::Backend {
   public:
    [[nodiscard]] const engine::ModelInfo& model() const noexcept override { return info_; }
    [[nodiscard]] engine::Capabilities capabilities() const override { return {.device = "gpu", .max_batch = 32}; }
    [[nodiscard]] std::vector<engine::Profile> profiles() const override {
      return {{{640, 384}, 1, milliseconds{6}, {}}, {{640, 384}, 32, milliseconds{36}, {}}};
    }
    void prepare(engine::InputShape, int) override {}
    [[nodiscard]] engine::InputShape shape_for(int, int) const override { return {640, 384}; }
    void enqueue(engine::Batch&&, engine::BatchDone) override {}

   private:
    engine::ModelInfo info_;
  };

  TestClock clock;
  Profiled backend;
  scheduler::Dispatcher dispatcher;
  std::filesystem::path folder;
  scheduler::WallTime wall{2, 16 * 3600 + 56 * 60};
  MemoryUse memory;
  scheduler::PolicyReport last;
  int measured = 0;
  std::string log;
};

TEST_F(LoadWatchTest, WarnsOnceOfWhatTheProfileKnows) {
  keep("gantry-load-profile 1\n0 68 9 1200\n0 69 9 100\n");
  wall.second_of_day = 16 * 3600 + 40 * 60;
  LoadWatch watch = make();
  for (int second = 0; second < 180; ++second, clock.advance(seconds{1})) watch.tick(clock.now());
  EXPECT_NEAR(last.capacity_fps, 32 / 0.036, 1);
  EXPECT_EQ(last.peak_at.second_of_day, 17 * 3600);
  EXPECT_EQ(count("demand at 17:00 exceeds capacity by 311 frames/s (1200 frames/s expected, 889 frames/s possible)"),
            1)
      << log;
}

TEST_F(LoadWatchTest, HasBatchesMeasuredAnewBeforeARushWhileThereIsRoom) {
  scheduler::PolicyReport report;
  report.capacity_fps = 100;
  report.demand_now_fps = 40;
  report.demand_5min_fps = 120;
  report.headroom = -0.2;
  report.devices = {{.id = 0, .load = 0.6, .batch_now = 4, .batch_5min = 32}};
  scheduler::Dispatcher reporting{std::make_unique<ReportingPolicy>(report), [](scheduler::FrameEnd&) {}, clock};
  reporting.add_device("gpu", 32);
  LoadWatch watch{reporting,
                  {.wall_time = [this] { return wall; },
                   .memory = [this] { return memory; },
                   .measure_again = [this] { ++measured; },
                   .on_report = [](const scheduler::PolicyReport&, TimePoint) {},
                   .log = [this](Severity, std::string_view text) { log += std::string(text) + '\n'; },
                   .profile = {}},
                  clock.now()};
  const auto run = [&](minutes length) {
    for (const TimePoint end = clock.now() + length; clock.now() < end; clock.advance(seconds{1}))
      watch.tick(clock.now());
  };
  run(minutes{2});
  EXPECT_EQ(measured, 0) << "the device is too busy to be measured";
  EXPECT_EQ(count("demand in five minutes exceeds capacity by 20 frames/s (120 frames/s expected, 100 frames/s "
                  "possible)"),
            1)
      << log;
  report.devices[0].load = 0.4;
  run(minutes{20});
  EXPECT_EQ(measured, 1) << "once, not every minute";
  EXPECT_EQ(count("batches are measured anew"), 1) << log;
  run(minutes{15});
  EXPECT_EQ(measured, 2) << "and again half an hour later";
  report.devices[0].batch_5min = 6;
  run(minutes{60});
  EXPECT_EQ(measured, 2) << "no rush";
}

TEST_F(LoadWatchTest, KeepsTheProfileAcrossRestarts) {
  const std::string before = "gantry-load-profile 1\n0 68 3 250\n";
  keep(before);
  { LoadWatch watch = make(); }
  EXPECT_EQ(dispatcher.save_profile(), before);
  EXPECT_EQ(kept(), before);
  // A quarter of an hour of silence on a Tuesday is learned and saved while it runs.
  {
    LoadWatch watch = make();
    for (int minute = 0; minute < 32; ++minute) {
      watch.tick(clock.now());
      for (int second = 0; second < 60; ++second, clock.advance(seconds{1})) watch.tick(clock.now());
      wall.second_of_day += 60;
    }
    EXPECT_THAT(kept(), HasSubstr("0 68 4 "));
  }
  EXPECT_FALSE(std::filesystem::exists(profile().string() + ".new"));
  EXPECT_EQ(log, "");
}

TEST_F(LoadWatchTest, ReplacesADamagedProfileAndSaysSo) {
  keep("gantry-load-profile 1\n0 99 1 10\n");
  LoadWatch watch = make();
  EXPECT_THAT(log, HasSubstr("load.txt: load profile: line 2"));
}

TEST_F(LoadWatchTest, AFolderThatIsNotThereIsAWarningNotAnEnd) {
  std::filesystem::remove_all(folder);
  { LoadWatch watch = make(); }
  EXPECT_THAT(log, HasSubstr("the load profile is not saved: "));
}

TEST_F(LoadWatchTest, MemoryReachesLadderAndBreakersAndIsSaid) {
  LoadWatch watch = make();
  memory = {.machine = 0.97, .devices = {{0, 0.99}}};
  for (int i = 0; i < 4; ++i, clock.advance(seconds{1})) watch.tick(clock.now());
  EXPECT_GE(last.degrade_step, 1);
  EXPECT_EQ(last.degrade_reason, "memory");
  EXPECT_EQ(last.devices[0].breaker, "open");
  EXPECT_EQ(last.devices[0].breaker_reason, "memory");
  EXPECT_EQ(count("gpu: breaker open (memory)"), 1) << log;
  EXPECT_EQ(count("degrade step 1: background cameras are off (memory)"), 1) << log;
  memory = {.machine = 0.5, .devices = {{0, 0.5}}};
  for (int i = 0; i < 30; ++i, clock.advance(seconds{1})) watch.tick(clock.now());
  EXPECT_EQ(last.degrade_step, 0);
  EXPECT_EQ(count("degrade step 0: everything is taken again"), 1) << log;
}

TEST(SkipPlan, RaisesAtOnceAndLowersLate) {
  SkipPlan plan;
  scheduler::PolicyReport report;
  TimePoint now{};
  const auto background = [&] { return plan.update(report, now)[static_cast<std::size_t>(Priority::kBackground)]; };
  const auto normal = [&] { return plan.update(report, now)[static_cast<std::size_t>(Priority::kNormal)]; };
  EXPECT_EQ(background(), SkipLevel::kNothing);
  report.early_shed = 0.6;
  EXPECT_EQ(background(), SkipLevel::kNonKey);
  EXPECT_EQ(normal(), SkipLevel::kNothing);
  report.early_shed = 0;  // of course: they don't come any more
  now += SkipPlan::kHold - milliseconds{1};
  EXPECT_EQ(background(), SkipLevel::kNonKey);
  now += milliseconds{1};
  EXPECT_EQ(background(), SkipLevel::kNothing);
  report.degrade_step = 2;
  EXPECT_EQ(background(), SkipLevel::kNonKey);
  EXPECT_EQ(normal(), SkipLevel::kNonReference);
  report.degrade_step = 4;
  EXPECT_EQ(normal(), SkipLevel::kNonKey);
  EXPECT_EQ(plan.update(report, now)[static_cast<std::size_t>(Priority::kUrgent)], SkipLevel::kNothing);
}

}  // namespace
}  // namespace gantry::app
