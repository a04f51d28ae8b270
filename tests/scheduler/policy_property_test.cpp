// Random traffic, random faults. The driver checks that each frame ends exactly once, that batches hold to shape, size
// and room, and that everything drains; the tests here add what the policy promises on top.
// GANTRY_PROPERTY_EVENTS sets the number of events of the long form (default 100,000 in all).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "gantry/scheduler/gantry_policy.hpp"
#include "scheduler/policy_driver.hpp"

namespace gantry::scheduler {
namespace {

using namespace test;

std::uint64_t wanted_events() {
  const char* text = std::getenv("GANTRY_PROPERTY_EVENTS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 100'000;
}

class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : random_(seed), driver(policy_, seed) {
    driver.noise = 0.03;
    const int shapes = pick(1, 3);
    const int devices = pick(1, 4);
    for (int d = 0; d < devices; ++d) {
      TestDevice device;
      device.spec.id = static_cast<DeviceId>(d);
      device.spec.max_batch = 32;
      device.spec.concurrent_batches = pick(0, 3) == 0 ? 2 : 1;
      for (int s = 0; s < shapes; ++s) device.tables.push_back(pick(0, 1) == 0 ? h100() : slow_card());
      device.factor = [this, d](TimePoint) { return factor_[d]; };
      tables.push_back(device.tables);
      driver.add(device);
    }
    const int cameras = pick(3, 60);
    for (int c = 0; c < cameras; ++c) add_camera(shapes, devices);
    for (int i = 0; i < 60; ++i) {
      const auto when = milliseconds{pick(0, 4000)};
      driver.at(when, [this, shapes, devices] { meddle(shapes, devices); });
    }
    driver.on_launch = [this](const Launch& launch, TimePoint now) { check(launch, now); };
  }

  void run() {
    driver.run_until(seconds{4});
    for (DeviceId d = 0; d < tables.size(); ++d) driver.set_device(d, DeviceState::kUp);
    driver.drain();
    const ClassTally total = driver.total();
    std::uint64_t ended = total.in_time + total.late + total.failed;
    for (const auto n : total.drops) ended += n;
    EXPECT_EQ(total.arrived, ended);
  }

 private:
  std::mt19937_64 random_;
  GantryPolicy policy_;
  std::array<double, 4> factor_{1, 1, 1, 1};

 public:
  PolicyDriver driver;
  std::vector<std::vector<std::vector<LatencyPoint>>> tables;  // [device][shape]

 private:
  int pick(int low, int high) { return std::uniform_int_distribution<int>{low, high}(random_); }

  void add_camera(int shapes, int devices) {
    TestCamera camera;
    camera.spec.id = next_camera_++;
    camera.spec.priority = static_cast<Priority>(std::min(3, pick(0, 7)));
    camera.spec.period = milliseconds{pick(10, 300)};
    camera.spec.weight = 0.5 * pick(1, 4);
    camera.spec.slot_depth = pick(0, 3);
    if (pick(0, 5) == 0) {
      camera.spec.home = static_cast<DeviceId>(pick(0, devices - 1));
      camera.spec.pinned = pick(0, 1) == 0;
    }
    camera.deadline = milliseconds{pick(0, 3) == 0 ? pick(5, 30) : pick(40, 400)};
    camera.poisson = pick(0, 3) == 0;
    camera.jitter = microseconds{pick(0, 3000)};
    camera.phase = milliseconds{pick(0, 100)};
    camera.shape = static_cast<ShapeId>(pick(0, shapes - 1));
    driver.add(camera);
    ids_.push_back(camera.spec.id);
  }

  void meddle(int shapes, int devices) {
    const auto device = static_cast<DeviceId>(pick(0, devices - 1));
    switch (pick(0, 8)) {
      case 0:
        driver.set_device(device, DeviceState::kDown);
        break;
      case 1:
        driver.set_device(device, DeviceState::kDraining);
        break;
      case 2:
      case 3:
        driver.set_device(device, DeviceState::kUp);
        break;
      case 4:
        driver.fail_next(pick(1, 6));
        break;
      case 5:
        factor_[device] = pick(0, 1) == 0 ? 1.0 : 3.0;
        break;
      case 6:
        policy_.boost(ids_[static_cast<std::size_t>(pick(0, static_cast<int>(ids_.size()) - 1))],
                      static_cast<Priority>(pick(0, 3)), driver.now() + milliseconds{pick(-50, 500)}, driver.now());
        break;
      case 7:
        policy_.on_memory(pick(0, 1) == 0 ? kNoDevice : device, 0.01 * pick(50, 100), driver.now());
        // The wall clock may say anything at any time.
        policy_.on_wall_time({pick(0, 6), pick(0, 86'399)}, driver.now());
        break;
      default:
        add_camera(shapes, devices);
        driver.remove_camera(static_cast<std::size_t>(pick(0, static_cast<int>(ids_.size()) - 1)));
    }
  }

  /// No frame is started that its device could not finish in time even at the best speed it ever showed.
  void check(const Launch& launch, TimePoint now) {
    const int size = static_cast<int>(launch.frames.size());
    const auto fastest = table_time(tables[launch.device][launch.shape], size) * 85 / 100;
    for (const FrameTicket ticket : launch.frames) {
      const auto found = driver.waiting().find(ticket);
      ASSERT_NE(found, driver.waiting().end());
      EXPECT_GE(found->second.deadline, now + fastest) << "batch of " << size;
    }
  }

  CameraId next_camera_ = 1;
  std::vector<CameraId> ids_;
};

TEST(PolicyProperty, RandomWorldsKeepTheirBooks) {
  std::uint64_t events = 0;
  for (std::uint64_t seed = 1; events < wanted_events(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomWorld world(seed);
    world.run();
    events += world.driver.events();
    if (testing::Test::HasFailure()) return;
  }
}

/// One device, one shape, twice as much as it can do, all classes.
TEST(PolicyProperty, AHigherClassIsLeftBehindOnlyForACameraThatAged) {
  constexpr auto kAgeing = milliseconds{500};
  PolicyConfig config;
  config.ageing = kAgeing;
  GantryPolicy policy(config);
  PolicyDriver driver(policy, 5);
  TestDevice device;
  device.tables = {slow_card()};
  driver.add(device);
  std::mt19937_64 random(5);
  for (CameraId id = 0; id < 60; ++id) {
    TestCamera camera;
    camera.spec.id = id;
    camera.spec.priority = id < 3 ? Priority::kUrgent : id < 45 ? Priority::kNormal : Priority::kBackground;
    camera.spec.period = milliseconds{33};
    camera.deadline = id < 3 ? milliseconds{30} : milliseconds{100};
    camera.phase = milliseconds{static_cast<int>(random() % 33)};
    driver.add(camera);
  }
  std::map<std::size_t, std::vector<TimePoint>> starts;
  std::map<std::size_t, Duration> longest;
  const auto unserved_on_arrival = [&](const PolicyDriver::Waiting& frame) {
    const auto& all = starts[frame.camera];
    const auto after = std::upper_bound(all.begin(), all.end(), frame.arrived);
    return frame.arrived - (after == all.begin() ? TimePoint{} : *(after - 1));
  };
  driver.on_launch = [&](const Launch& launch, TimePoint now) {
    const auto time = table_time(slow_card(), static_cast<int>(launch.frames.size()));
    for (const auto& [ticket, frame] : driver.waiting()) {
      if (frame.deadline < now + time * 6 / 5) continue;  // could not have been in this batch
      if (std::find(launch.frames.begin(), launch.frames.end(), ticket) != launch.frames.end()) continue;
      for (const FrameTicket started : launch.frames) {
        const auto& lower = driver.waiting().at(started);
        if (lower.priority <= frame.priority) continue;
        ASSERT_GE(unserved_on_arrival(lower), kAgeing)
            << to_string(lower.priority) << " camera " << lower.camera << " before " << to_string(frame.priority);
      }
    }
    for (const FrameTicket ticket : launch.frames) {
      auto& all = starts[driver.waiting().at(ticket).camera];
      auto& gap = longest[driver.waiting().at(ticket).camera];
      gap = std::max(gap, now - (all.empty() ? TimePoint{} : all.back()));
      all.push_back(now);
    }
  };
  driver.run_until(seconds{20});
  driver.drain();
  // Nothing starves: two steps of ageing bring anybody to urgent, and there the queue is short.
  for (std::size_t camera = 0; camera < 60; ++camera)
    EXPECT_LE(longest[camera], 2 * kAgeing + milliseconds{200}) << "camera " << camera;
  EXPECT_GT(driver.classes[1].goodput(), 0.99);
}

TEST(PolicyProperty, SameCallsSameDecisions) {
  for (int run = 0; run < 2; ++run) {
    static ClassTally first;
    RandomWorld world(77);
    world.run();
    ClassTally total = world.driver.total();
    if (run == 0) {
      first = total;
    } else {
      EXPECT_EQ(first.in_time, total.in_time);
      EXPECT_EQ(first.drops, total.drops);
      EXPECT_EQ(first.waits_ms, total.waits_ms);
    }
  }
}

}  // namespace
}  // namespace gantry::scheduler
