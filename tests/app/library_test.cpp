#include "gantry/app/library.hpp"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>

#include "app/fakes.hpp"

namespace gantry {
namespace {

using app::test::CountedPixels;
using app::test::FakeBackend;
using std::chrono::milliseconds;
using std::chrono::seconds;

class LibraryTest : public testing::Test {
 protected:
  Frame frame(std::uint8_t value) {
    auto* pixels = new CountedPixels(alive_, value);
    Frame frame;
    frame.image.width = frame.image.height = 16;
    frame.image.planes[0] = {pixels->data(), 16};
    frame.image.planes[1] = {pixels->data() + 256, 16};
    frame.pixels = StorageRef(pixels);
    return frame;
  }
  std::atomic<int> alive_{0};
};

TEST_F(LibraryTest, EveryFrameIsAnsweredOnceWithItsOwnBoxes) {
  std::mutex mutex;
  std::map<std::pair<CameraId, std::uint64_t>, float> found;
  int answers = 0;
  {
    System system(std::make_unique<FakeBackend>(2, 8));
    system.initialise({.on_answer = [&](const FrameAnswer& answer) {
      const std::lock_guard lock(mutex);
      ++answers;
      EXPECT_GE(answer.latency, Duration{});
      if (!is_drop(answer.outcome)) found[{answer.camera, answer.seq}] = answer.detections->at(0).box.x1;
    }});
    system.prepare(16, 16);
    for (int i = 0; i < 20; ++i)
      for (CameraId camera = 0; camera < 3; ++camera) {
        system.process(frame(static_cast<std::uint8_t>(i * 3 + static_cast<int>(camera))), camera, Priority::kNormal,
                       seconds(20));
        std::this_thread::sleep_for(milliseconds(1));
      }
    system.shut_down();
    const auto metrics = system.metrics();
    EXPECT_EQ(metrics.frames.received, 60);
    EXPECT_EQ(metrics.frames.published() + metrics.frames.dropped(), 60);
    EXPECT_EQ(metrics.frames.published(), found.size());
    EXPECT_GT(metrics.batches, 0);
    EXPECT_GT(metrics.latency[static_cast<std::size_t>(Priority::kNormal)].p50_ms, 0);
  }
  EXPECT_EQ(answers, 60);
  EXPECT_EQ(alive_, 0);
  for (const auto& [key, x1] : found) EXPECT_EQ(x1, static_cast<float>(key.second * 3 + key.first));
}

TEST_F(LibraryTest, ShutDownAnswersWhatIsLeftAndNewFramesToo) {
  std::atomic<int> answers{0}, shut_down{0};
  System system(std::make_unique<FakeBackend>(1, 1, [](const engine::Batch&) { return milliseconds(20); }));
  system.initialise({.on_answer = [&](const FrameAnswer& answer) {
    ++answers;
    shut_down += answer.outcome == Outcome::kShutdown;
  }});
  for (CameraId camera = 0; camera < 5; ++camera) system.process(frame(1), camera, Priority::kUrgent, milliseconds(30));
  system.shut_down();
  EXPECT_EQ(answers, 5);
  system.process(frame(1), 0, Priority::kNormal, seconds(1));
  EXPECT_EQ(answers, 6);
  EXPECT_GE(shut_down, 1);
  EXPECT_EQ(alive_, 0);
}

TEST_F(LibraryTest, UseOutOfOrderIsRefused) {
  EXPECT_THROW(System(nullptr), PreconditionError);
  System system(std::make_unique<FakeBackend>());
  EXPECT_THROW(system.process(frame(1), 0, Priority::kNormal, seconds(1)), PreconditionError);
  system.initialise({});
  EXPECT_THROW(system.initialise({}), PreconditionError);
}

}  // namespace
}  // namespace gantry
