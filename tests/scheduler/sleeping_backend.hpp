#pragma once
// A back end for tests that does nothing but take its time: the tabled latency of the batch, with noise on request. It
// can be told to fail in every way a real one can. One thread; batches are served in order.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::scheduler::test {

enum class Fault { kNone, kThrow, kError, kTooFew, kNever, kTwice, kDropFrame };

class SleepingBackend final : public engine::Backend {
 public:
  /// @param profiles what profiles() says; batches take their means, linear between points.
  explicit SleepingBackend(std::vector<engine::Profile> profiles, double noise_sigma = 0, std::uint64_t seed = 1)
      : profiles_(std::move(profiles)), noise_(noise_sigma), random_(seed), thread_([this] { loop(); }) {
    info_.name = "sleeping";
    info_.max_batch = 32;
  }
  ~SleepingBackend() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    thread_.join();
    for (Work& work : lost_) work.done(std::move(work.batch), Result<void>{});  // far too late
  }

  /// The next batch fails like this.
  void fail_next(Fault fault) {
    const std::lock_guard lock(mutex_);
    faults_.push_back(fault);
  }
  /// Multiplies every batch's time from now on.
  void set_factor(double factor) {
    const std::lock_guard lock(mutex_);
    factor_ = factor;
  }
  /// Answers the batches that kNever kept.
  void release_lost() {
    std::vector<Work> lost;
    {
      const std::lock_guard lock(mutex_);
      lost.swap(lost_);
    }
    for (Work& work : lost) work.done(std::move(work.batch), Result<void>{});
  }

  [[nodiscard]] const engine::ModelInfo& model() const noexcept override { return info_; }
  [[nodiscard]] engine::Capabilities capabilities() const override { return {"sleeping", 1, 32, false, -1}; }
  [[nodiscard]] std::vector<engine::Profile> profiles() const override { return profiles_; }
  void prepare(engine::InputShape, int) override {}
  [[nodiscard]] engine::InputShape shape_for(int, int) const override { return profiles_.front().shape; }

  void enqueue(engine::Batch&& batch, engine::BatchDone done) override {
    {
      const std::lock_guard lock(mutex_);
      Fault fault = Fault::kNone;
      if (!faults_.empty()) {
        fault = faults_.front();
        faults_.pop_front();
      }
      if (fault == Fault::kThrow) throw std::runtime_error("told to throw");
      if (fault == Fault::kNever) {
        lost_.push_back({std::move(batch), std::move(done), fault});
        return;
      }
      queue_.push_back({std::move(batch), std::move(done), fault});
    }
    ready_.notify_all();
  }

 private:
  struct Work {
    engine::Batch batch;
    engine::BatchDone done;
    Fault fault = Fault::kNone;
  };

  [[nodiscard]] Duration time_of(const engine::Batch& batch) const {
    const int size = static_cast<int>(batch.entries.size());
    const engine::Profile* below = nullptr;
    for (const engine::Profile& profile : profiles_) {
      if (!(profile.shape == batch.shape)) continue;
      if (profile.batch == size || below == nullptr) {
        below = &profile;
        if (profile.batch >= size) return profile.mean;
        continue;
      }
      if (profile.batch > size)
        return below->mean + (profile.mean - below->mean) * (size - below->batch) / (profile.batch - below->batch);
      below = &profile;
    }
    return below->mean;
  }

  void loop() {
    for (;;) {
      Work work;
      Duration time{};
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        work = std::move(queue_.front());
        queue_.pop_front();
        double factor = factor_;
        if (noise_ > 0) factor *= std::exp(std::normal_distribution<double>{0, noise_}(random_));
        time = Duration{static_cast<Duration::rep>(factor * static_cast<double>(time_of(work.batch).count()))};
      }
      std::this_thread::sleep_for(time);
      engine::BatchDone done = work.done;
      if (work.fault == Fault::kError) {
        done(std::move(work.batch), fail(ErrorCode::kDevice, "told to fail"));
        continue;
      }
      if (work.fault == Fault::kTooFew) work.batch.entries.pop_back();
      for (engine::BatchEntry& entry : work.batch.entries) {
        Detection detection;
        detection.class_id = static_cast<int>(entry.frame.seq % 80);  // so that tests can tell whose result it is
        entry.detections.assign(1, detection);
      }
      if (work.fault == Fault::kDropFrame) work.batch.entries.front().drop = Outcome::kSuperseded;
      done(std::move(work.batch), Result<void>{});
      if (work.fault == Fault::kTwice) done(engine::Batch{}, Result<void>{});
    }
  }

  std::vector<engine::Profile> profiles_;
  engine::ModelInfo info_;
  double noise_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::mt19937_64 random_;
  double factor_ = 1;
  std::deque<Fault> faults_;
  std::deque<Work> queue_;
  std::vector<Work> lost_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gantry::scheduler::test
