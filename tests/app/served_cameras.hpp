#pragma once
// A fixture: a running system of several devices whose cameras are all answered, and who was answered when.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gantry/app/system.hpp"

namespace gantry::app {

class ServedCameras : public testing::Test {
 protected:
  /// Starts it with cameras c0, c1, … of that source, and waits until each has been answered.
  void serve(std::vector<std::unique_ptr<engine::Backend>> backends, LogFn log, System::MakeDecoder make_decoder,
             const std::string& source, int cameras) {
    system_ = std::make_unique<System>(config::Config{}, std::move(backends), clock_, std::move(log),
                                       std::move(make_decoder));
    results_ = system_->subscribe([this](const sinks::FrameResult& result) {
      const std::lock_guard lock{mutex_};
      newest_[result.camera] = clock_.now();
    });
    system_->start();
    for (int i = 0; i < cameras; ++i) {
      config::CameraConfig camera;
      camera.source = source;
      ASSERT_TRUE(system_->add_camera("c" + std::to_string(i), camera));
    }
    ASSERT_TRUE(eventually([&] { return answered_since({}) == cameras; }));
  }
  /// The books balance when it has stopped.
  void TearDown() override {
    if (!system_) return;
    system_->stop();
    const auto totals = system_->totals();
    EXPECT_EQ(totals.received, totals.published() + totals.dropped());
    EXPECT_EQ(totals.in_flight, 0U);
    results_.reset();
    system_.reset();
  }
  /// Cameras by the device where they are at home.
  std::map<std::string, int> homes() const {
    std::map<std::string, int> count;
    for (const auto& camera : system_->cameras()) ++count[camera.home];
    return count;
  }
  int answered_since(TimePoint since) {
    const std::lock_guard lock{mutex_};
    return static_cast<int>(
        std::count_if(newest_.begin(), newest_.end(), [&](const auto& entry) { return entry.second > since; }));
  }
  static bool eventually(const std::function<bool()>& holds, Duration within = std::chrono::seconds{20}) {
    const SteadyClock clock;
    for (const auto end = clock.now() + within; clock.now() < end;
         std::this_thread::sleep_for(std::chrono::milliseconds{10}))
      if (holds()) return true;
    return holds();
  }

  SteadyClock clock_;
  std::mutex mutex_;
  std::map<std::string, TimePoint> newest_;
  std::unique_ptr<System> system_;
  Subscription results_;
};

}  // namespace gantry::app
