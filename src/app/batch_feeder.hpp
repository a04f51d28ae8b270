#pragma once
// Keeps a back end as busy as it can be with frames that all have to be run: first come, first served, in batches of
// one shape. Takes no decision about time; that is the scheduler's business. Thread-safe.
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::app {

class BatchFeeder {
 public:
  /// One frame's answer, on a thread of the back end: must not block or throw. `error` is null where it was answered.
  using AnswerFn = std::function<void(engine::BatchEntry& entry, const engine::StageTimes& times, const Error* error)>;

  /// `backend` and `options` outlive the feeder.
  BatchFeeder(engine::Backend& backend, const engine::DetectOptions& options, AnswerFn answer);
  /// Waits for every frame's answer.
  ~BatchFeeder();
  BatchFeeder(const BatchFeeder&) = delete;
  BatchFeeder& operator=(const BatchFeeder&) = delete;

  /// Gets `shape` ready and finds its best batch size. Blocks; at once where that was done before.
  /// @throws ModelError
  void prepare(engine::InputShape shape);
  /// Never blocks. @pre prepare(shape)
  void submit(Frame&& frame, engine::InputShape shape);

  /// Frames that one input should have on their way, so that the back end never waits for it.
  [[nodiscard]] std::size_t frames_ahead() const noexcept { return frames_ahead_; }

 private:
  struct Waiting {
    Frame frame;
    engine::InputShape shape;
  };
  void run();
  [[nodiscard]] engine::Batch take_batch();
  void answered(engine::Batch&& batch, const Result<void>& status);

  engine::Backend& backend_;
  const engine::DetectOptions& options_;
  const AnswerFn answer_;
  const int batch_limit_;
  const std::size_t batches_ahead_;
  const std::size_t frames_ahead_;

  std::mutex prepare_mutex_;  // one prepare() at a time; never taken inside mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<engine::InputShape, std::size_t> best_batch_;
  std::deque<Waiting> waiting_;
  std::vector<std::vector<engine::BatchEntry>> spare_entries_;  // so that batches reuse their vectors
  std::size_t running_ = 0;                                     // batches inside the back end
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gantry::app
