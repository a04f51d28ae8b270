#include "gantry/scheduler/dispatcher.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "gantry/scheduler/breaker.hpp"
#include "gantry/scheduler/gantry_policy.hpp"
#include "scheduler/sleeping_backend.hpp"

namespace gantry::scheduler {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Fault;
using test::SleepingBackend;

constexpr engine::InputShape kShape{640, 384};

std::vector<engine::Profile> profiles(Duration one, Duration eight) {
  return {{kShape, 1, one, one}, {kShape, 8, eight, eight}};
}

/// A dispatcher with one sleeping device and the books of everything that ended.
class DispatcherTest : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }
  void make(DispatcherConfig config, Duration one = milliseconds{1}, Duration eight = milliseconds{2}) {
    dispatcher_.reset();
    backend_ = std::make_unique<SleepingBackend>(profiles(one, eight));
    dispatcher_ = std::make_unique<Dispatcher>(
        std::make_unique<GantryPolicy>(), [this](FrameEnd& end) { ended(end); }, clock_, config);
    const DeviceId device = dispatcher_->add_device("sleeping", 8);
    dispatcher_->set_backend(device, 0, *backend_);
    for (CameraId camera = 0; camera < 8; ++camera) {
      CameraSpec spec;
      spec.id = camera;
      dispatcher_->set_camera(spec);
    }
  }
  void TearDown() override {
    dispatcher_.reset();
    backend_.reset();
  }

  void submit(CameraId camera, Duration deadline = seconds{20}, Priority priority = Priority::kNormal) {
    Frame frame;
    frame.camera = camera;
    frame.seq = next_seq_[camera]++;
    frame.captured_at = clock_.now();
    frame.deadline = frame.captured_at + deadline;
    frame.priority = priority;
    ++submitted_;
    dispatcher_->submit(std::move(frame), dispatcher_->shape_id(0, kShape), &options_);
  }
  void ended(const FrameEnd& end) {
    const std::lock_guard lock(mutex_);
    const bool first = seen_.insert({end.frame.camera, end.frame.seq}).second;
    twice_ += first ? 0 : 1;
    ++outcomes_[static_cast<int>(end.outcome)];
    if (end.outcome == Outcome::kPublished) {
      const bool own = end.detections.size() == 1 && end.detections[0].class_id == static_cast<int>(end.frame.seq % 80);
      wrong_ += own ? 0 : 1;
    }
  }
  int count(Outcome outcome) {
    const std::lock_guard lock(mutex_);
    return outcomes_[static_cast<int>(outcome)];
  }
  int total() {
    const std::lock_guard lock(mutex_);
    int sum = 0;
    for (const int n : outcomes_) sum += n;
    return sum;
  }
  void wait_for(int frames) {
    const auto until = std::chrono::steady_clock::now() + seconds{20};
    while (total() < frames && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds{1});
    ASSERT_GE(total(), frames);
  }
  void expect_exact_books() {
    EXPECT_EQ(total(), submitted_);
    EXPECT_EQ(twice_, 0);
    EXPECT_EQ(wrong_, 0);
    EXPECT_EQ(dispatcher_->in_flight(), 0U);
    FrameCounts sum;
    for (const ClassMetrics& cls : dispatcher_->metrics().classes) sum += cls.frames;
    EXPECT_EQ(sum.received, static_cast<std::uint64_t>(submitted_));
    EXPECT_EQ(sum.in_flight, 0U);
    for (int i = 0; i < kOutcomeCount; ++i) EXPECT_EQ(sum.outcomes[i], static_cast<std::uint64_t>(outcomes_[i]));
  }

  SteadyClock clock_;
  engine::DetectOptions options_;
  std::unique_ptr<SleepingBackend> backend_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::array<std::uint64_t, 8> next_seq_{};
  int submitted_ = 0;
  std::mutex mutex_;
  std::set<std::pair<CameraId, std::uint64_t>> seen_;
  std::array<int, kOutcomeCount> outcomes_{};
  int twice_ = 0, wrong_ = 0;
};

TEST_F(DispatcherTest, PublishesEveryFrameWithItsOwnResult) {
  dispatcher_->start();
  for (int i = 0; i < 100; ++i) {
    for (CameraId camera = 0; camera < 4; ++camera) submit(camera);
    wait_for(submitted_);
  }
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kPublished), 400);
  expect_exact_books();
}

TEST_F(DispatcherTest, StopDrainsWhatWaits) {
  for (CameraId camera = 0; camera < 8; ++camera) submit(camera);
  dispatcher_->start();
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kPublished), 8);
  submit(0);  // after stop
  EXPECT_EQ(count(Outcome::kShutdown), 1);
  expect_exact_books();
}

TEST_F(DispatcherTest, ExpiryDoesNotWaitForTheBatchThatRuns) {
  make({}, milliseconds{1500}, milliseconds{1500});
  dispatcher_->start();
  submit(0, seconds{20});  // keeps the device busy
  std::this_thread::sleep_for(milliseconds{50});
  submit(1, milliseconds{100});
  const auto before = std::chrono::steady_clock::now();
  wait_for(1);
  EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds{1200});
  EXPECT_EQ(count(Outcome::kExpired) + count(Outcome::kPredictedLate), 1);
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kPublished), 1);
  expect_exact_books();
}

TEST_F(DispatcherTest, AFrameThatAloneCouldNotBeRunCostsOnlyItself) {
  backend_->fail_next(Fault::kDropFrame);
  for (CameraId camera = 0; camera < 4; ++camera) submit(camera);
  dispatcher_->start();
  wait_for(submitted_);
  submit(0);
  wait_for(submitted_);
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kSuperseded), 1);
  EXPECT_EQ(count(Outcome::kPublished), 4);
  EXPECT_EQ(dispatcher_->metrics().devices[0].errors, 0U);
  expect_exact_books();
}

TEST_F(DispatcherTest, AFaultyBatchCostsOnlyItself) {
  dispatcher_->start();
  for (const Fault fault : {Fault::kThrow, Fault::kError, Fault::kTooFew}) {
    backend_->fail_next(fault);
    submit(0);
    wait_for(submitted_);
    submit(1);
    wait_for(submitted_);
  }
  backend_->fail_next(Fault::kTwice);
  submit(2);
  wait_for(submitted_);
  submit(3);
  wait_for(submitted_);
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kEngineError), 3);
  EXPECT_EQ(count(Outcome::kPublished), 5);
  EXPECT_EQ(dispatcher_->metrics().devices[0].errors, 3U);
  EXPECT_EQ(dispatcher_->metrics().devices[0].late_answers, 1U);
  expect_exact_books();
}

TEST_F(DispatcherTest, ABackEndThatGoesOnFailingTripsItsBreakerAndComesBack) {
  for (const Fault fault : {Fault::kThrow, Fault::kError, Fault::kTooFew}) {
    make({});
    dispatcher_->start();
    const int before = total();
    for (int i = 0; i < CircuitBreaker::kErrorsInARow; ++i) {
      backend_->fail_next(fault);
      submit(0);
      wait_for(submitted_);
    }
    // The batch's end is told before the policy hears of it.
    const auto open = [&] { return dispatcher_->report().devices[0].breaker == "open"; };
    for (int i = 0; i < 500 && !open(); ++i) std::this_thread::sleep_for(milliseconds{1});
    EXPECT_TRUE(open());
    EXPECT_EQ(dispatcher_->report().devices[0].breaker_reason, "errors");
    EXPECT_EQ(total() - before, CircuitBreaker::kErrorsInARow);
    for (int i = 0; i < CircuitBreaker::kTrials + 1; ++i) submit(1);
    wait_for(submitted_);  // once it tries again
    dispatcher_->stop();
    EXPECT_EQ(dispatcher_->report().devices[0].breaker, "closed");
  }
  EXPECT_EQ(count(Outcome::kEngineError), 3 * CircuitBreaker::kErrorsInARow);
  EXPECT_EQ(count(Outcome::kPublished), 3 * (CircuitBreaker::kTrials + 1));
}

TEST_F(DispatcherTest, ABatchThatNeverReturnsIsGivenUpAndItsPlaceComesBackWithTheAnswer) {
  DispatcherConfig config;
  config.watchdog_min = milliseconds{200};
  make(config);
  dispatcher_->start();
  backend_->fail_next(Fault::kNever);
  submit(0);
  wait_for(1);
  EXPECT_EQ(count(Outcome::kEngineError), 1);
  EXPECT_EQ(dispatcher_->metrics().devices[0].timeouts, 1U);
  EXPECT_EQ(dispatcher_->report().devices[0].breaker, "open");
  EXPECT_EQ(dispatcher_->report().devices[0].breaker_reason, "timeouts");
  submit(1);
  std::this_thread::sleep_for(milliseconds{50});
  EXPECT_EQ(total(), 1) << "the device's only place is still taken";
  backend_->release_lost();
  wait_for(2);
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kPublished), 1);
  EXPECT_EQ(dispatcher_->metrics().devices[0].late_answers, 1U);
  expect_exact_books();
}

TEST_F(DispatcherTest, AnAnswerAfterTheDispatcherIsGoneIsHarmless) {
  DispatcherConfig config;
  config.watchdog_min = milliseconds{100};
  make(config);
  dispatcher_->start();
  backend_->fail_next(Fault::kNever);
  submit(0);
  wait_for(1);
  dispatcher_.reset();
  backend_->release_lost();
  EXPECT_EQ(total(), 1);
}

TEST_F(DispatcherTest, RefusesBeyondItsBound) {
  DispatcherConfig config;
  config.max_frames = 4;
  make(config);
  for (CameraId camera = 0; camera < 6; ++camera) submit(camera);
  EXPECT_EQ(count(Outcome::kShed), 2);
  dispatcher_->start();
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kPublished), 4);
  EXPECT_EQ(dispatcher_->metrics().refused, 2U);
  expect_exact_books();
}

TEST_F(DispatcherTest, RemovedCamerasFramesSaySo) {
  for (CameraId camera = 0; camera < 8; ++camera) submit(camera);
  dispatcher_->remove_camera(3);
  dispatcher_->start();
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kCameraRemoved), 1);
  EXPECT_EQ(count(Outcome::kPublished), 7);
  expect_exact_books();
}

TEST_F(DispatcherTest, StopEndsWhatCannotRunAfterItsGrace) {
  DispatcherConfig config;
  config.stop_grace = milliseconds{50};
  make(config);
  dispatcher_->set_device_state(0, DeviceState::kDown);
  for (CameraId camera = 0; camera < 8; ++camera) submit(camera, seconds{1000});
  dispatcher_->start();
  dispatcher_->stop();
  EXPECT_EQ(count(Outcome::kShutdown) + count(Outcome::kPredictedLate), 8);
  expect_exact_books();
}

TEST_F(DispatcherTest, BooksStayExactWhileEverythingHappensAtOnce) {
  dispatcher_->start();
  std::atomic<bool> go{true};
  std::thread meddler([&] {
    for (int i = 0; go; ++i) {
      CameraSpec spec;
      spec.id = 7;
      dispatcher_->remove_camera(7);
      dispatcher_->set_camera(spec);
      dispatcher_->boost(1, Priority::kUrgent, clock_.now() + milliseconds{5});
      if (i % 10 == 0) backend_->fail_next(i % 20 == 0 ? Fault::kError : Fault::kThrow);
      if (i % 16 == 0) dispatcher_->set_device_state(0, DeviceState::kDraining);
      if (i % 16 == 2) dispatcher_->set_device_state(0, DeviceState::kUp);
      static_cast<void>(dispatcher_->metrics());
      static_cast<void>(dispatcher_->report());
      static_cast<void>(dispatcher_->home_of(1));
      std::this_thread::sleep_for(milliseconds{1});
    }
    dispatcher_->set_device_state(0, DeviceState::kUp);
  });
  std::vector<std::thread> feeders;
  std::mutex submit_mutex;
  for (CameraId camera = 0; camera < 8; ++camera) {
    feeders.emplace_back([&, camera] {
      for (int i = 0; i < 150; ++i) {
        {
          const std::lock_guard lock(submit_mutex);
          submit(camera, milliseconds{i % 3 == 0 ? 4 : 40}, camera == 0 ? Priority::kEmergency : Priority::kNormal);
        }
        std::this_thread::sleep_for(milliseconds{1});
      }
    });
  }
  for (std::thread& feeder : feeders) feeder.join();
  go = false;
  meddler.join();
  dispatcher_->stop();
  expect_exact_books();
}

}  // namespace
}  // namespace gantry::scheduler
