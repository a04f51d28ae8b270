#include "app/batch_feeder.hpp"

#include <algorithm>
#include <exception>

#include "app/useful_batch.hpp"

namespace gantry::app {
namespace {

/// The smallest batch whose rate is within 2 % of the best: more would only add memory and delay.
std::size_t best_batch(const std::vector<engine::Profile>& profiles, engine::InputShape shape, int limit) {
  constexpr double kNearlyBest = 0.98;
  double best_rate = 0;
  const auto rate = [](const engine::Profile& profile) {
    return profile.batch / std::max(std::chrono::duration<double>(profile.mean).count(), 1e-9);
  };
  for (const auto& profile : profiles)
    if (profile.shape == shape && profile.batch <= limit) best_rate = std::max(best_rate, rate(profile));
  int smallest = limit;
  for (const auto& profile : profiles)
    if (profile.shape == shape && profile.batch <= limit && rate(profile) >= kNearlyBest * best_rate)
      smallest = std::min(smallest, profile.batch);
  return static_cast<std::size_t>(smallest);
}

}  // namespace

BatchFeeder::BatchFeeder(engine::Backend& backend, const engine::DetectOptions& options, AnswerFn answer)
    : backend_(backend),
      options_(options),
      answer_(std::move(answer)),
      batch_limit_(useful_batch(backend.capabilities(), 32)),
      // One batch more than can run at the same time waits inside the back end, so that none of its slots idles
      // between an answer and the next batch.
      batches_ahead_(static_cast<std::size_t>(std::max(1, backend.capabilities().concurrent_batches)) + 1),
      frames_ahead_((batches_ahead_ + 1) * static_cast<std::size_t>(batch_limit_) + 1) {
  thread_ = std::thread{[this] { run(); }};
}

BatchFeeder::~BatchFeeder() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void BatchFeeder::prepare(engine::InputShape shape) {
  const std::lock_guard preparing{prepare_mutex_};
  {
    const std::lock_guard lock{mutex_};
    if (best_batch_.contains(shape)) return;
  }
  backend_.prepare(shape, batch_limit_);
  const auto batch = best_batch(backend_.profiles(), shape, batch_limit_);
  const std::lock_guard lock{mutex_};
  best_batch_[shape] = batch;
}

void BatchFeeder::submit(Frame&& frame, engine::InputShape shape) {
  {
    const std::lock_guard lock{mutex_};
    waiting_.push_back({std::move(frame), shape});
  }
  wake_.notify_all();
}

void BatchFeeder::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    // While the back end is full, what waits grows into larger batches; while it is not, it gets what there is.
    wake_.wait(lock, [this] {
      return (!waiting_.empty() && running_ < batches_ahead_) || (stopping_ && waiting_.empty() && running_ == 0);
    });
    if (waiting_.empty()) return;
    auto batch = take_batch();
    ++running_;
    lock.unlock();
    backend_.enqueue(std::move(batch),
                     [this](engine::Batch&& done, Result<void> status) { answered(std::move(done), status); });
    lock.lock();
  }
}

engine::Batch BatchFeeder::take_batch() {
  engine::Batch batch;
  batch.shape = waiting_.front().shape;
  const auto size = best_batch_.at(batch.shape);
  if (!spare_entries_.empty()) {
    batch.entries = std::move(spare_entries_.back());
    spare_entries_.pop_back();
  }
  std::size_t taken = 0;
  for (auto next = waiting_.begin(); next != waiting_.end() && taken < size;) {
    if (next->shape != batch.shape) {
      ++next;
      continue;
    }
    if (taken == batch.entries.size()) batch.entries.emplace_back();
    batch.entries[taken].frame = std::move(next->frame);
    batch.entries[taken].options = &options_;
    ++taken;
    next = waiting_.erase(next);
  }
  batch.entries.resize(taken);
  return batch;
}

void BatchFeeder::answered(engine::Batch&& batch, const Result<void>& status) {
  const Error* error = status ? nullptr : &status.error();
  for (auto& entry : batch.entries) answer_(entry, batch.times, error);
  {
    const std::lock_guard lock{mutex_};
    --running_;
    spare_entries_.push_back(std::move(batch.entries));
    // Under the lock: the destructor may be waiting for exactly this, and the feeder ends with it.
    wake_.notify_all();
  }
}

}  // namespace gantry::app
