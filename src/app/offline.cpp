#include "gantry/app/offline.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "app/batch_feeder.hpp"
#include "app/offline_input.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::app {

class OfflineJob::Impl {
 public:
  Impl(engine::Backend& backend, const Clock& clock, OfflineOptions options)
      : backend_(backend), clock_(clock), options_(std::move(options)) {
    GANTRY_EXPECTS(options_.make_decoder, "OfflineOptions::make_decoder must be set");
    GANTRY_EXPECTS(options_.files_at_once >= 1 && options_.files_at_once <= 64, "files_at_once is 1…64");
  }

  std::vector<InputReport> run(std::vector<OfflineInput> inputs, OfflineOutput& output) {
    BatchFeeder feeder{backend_, options_.detect,
                       [this](engine::BatchEntry& entry, const engine::StageTimes& times, const Error* error) {
                         runs_[entry.frame.camera].answer(entry, times, error);
                       }};
    {
      const std::lock_guard lock{mutex_};
      GANTRY_EXPECTS(runs_.empty(), "an OfflineJob runs once; make another");
      for (std::size_t i = 0; i < inputs.size(); ++i)
        runs_.emplace_back(i, std::move(inputs[i]),
                           OfflineInputRun::Shared{backend_, feeder, options_, clock_, output, latency_});
      if (stopping_) stop_all();
    }
    for (auto& run : runs_) run.open();
    for (auto& run : runs_)
      if (run.usable()) run.prepare();
    started_ = clock_.now();
    running_ = true;
    work();
    running_ = false;
    ended_ = clock_.now();
    if (thrown_) std::rethrow_exception(thrown_);
    std::vector<InputReport> reports;
    for (const auto& run : runs_) reports.push_back(run.report());
    return reports;
  }

  void stop() noexcept {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    stop_all();
  }

  OfflineProgress progress() const {
    OfflineProgress progress;
    if (started_.load() == TimePoint{}) return progress;
    progress.inputs_done = inputs_done_;
    const auto end = running_ ? clock_.now() : ended_.load();
    progress.seconds = std::chrono::duration<double>(end - started_.load()).count();
    bool known = true;
    for (const auto& run : runs_) {
      const auto counts = run.counts();
      progress.frames += counts.received - counts.in_flight;
      if (!run.usable()) continue;
      const auto promised = static_cast<std::uint64_t>(run.promised_frames());
      known = known && promised > 0;
      progress.frames_total += options_.max_frames != 0 ? std::min(promised, options_.max_frames) : promised;
    }
    if (!known) progress.frames_total = 0;
    return progress;
  }

  [[nodiscard]] const StageHistograms& latency() const noexcept { return latency_; }

 private:
  /// Live streams all at once, files a few at a time.
  void work() {
    std::vector<std::thread> threads;
    std::vector<OfflineInputRun*> files;
    for (auto& run : runs_) {
      if (!run.usable())
        ++inputs_done_;
      else if (run.stream().live)
        threads.emplace_back([this, &run] { run_one(run); });
      else
        files.push_back(&run);
    }
    std::atomic<std::size_t> next{0};
    const auto workers = std::min(files.size(), static_cast<std::size_t>(options_.files_at_once));
    for (std::size_t i = 0; i < workers; ++i)
      threads.emplace_back([this, &files, &next] {
        for (std::size_t file = next++; file < files.size(); file = next++) run_one(*files[file]);
      });
    for (auto& thread : threads) thread.join();
  }

  void run_one(OfflineInputRun& run) {
    try {
      run.run();
    } catch (...) {
      const std::lock_guard lock{mutex_};
      if (!thrown_) thrown_ = std::current_exception();
      stopping_ = true;
      stop_all();
    }
    ++inputs_done_;
  }

  void stop_all() noexcept {
    for (auto& run : runs_) run.stop();
  }

  engine::Backend& backend_;
  const Clock& clock_;
  const OfflineOptions options_;
  StageHistograms latency_;
  std::deque<OfflineInputRun> runs_;  // a deque: runs never move
  std::atomic<TimePoint> started_{TimePoint{}};
  std::atomic<TimePoint> ended_{TimePoint{}};
  std::atomic<bool> running_{false};
  std::atomic<std::size_t> inputs_done_{0};
  std::mutex mutex_;  // stopping, thrown
  bool stopping_ = false;
  std::exception_ptr thrown_;
};

OfflineJob::OfflineJob(engine::Backend& backend, const Clock& clock, OfflineOptions options)
    : impl_(std::make_unique<Impl>(backend, clock, std::move(options))) {}
OfflineJob::~OfflineJob() = default;
std::vector<InputReport> OfflineJob::run(std::vector<OfflineInput> inputs, OfflineOutput& output) {
  return impl_->run(std::move(inputs), output);
}
void OfflineJob::stop() noexcept {
  impl_->stop();
}
OfflineProgress OfflineJob::progress() const {
  return impl_->progress();
}
const StageHistograms& OfflineJob::latency() const noexcept {
  return impl_->latency();
}

}  // namespace gantry::app
