#pragma once
// Runs pictures through a back end and waits for the answers.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "support/pictures.hpp"

namespace gantry::test {

/// One batch, waited for. @throws std::runtime_error where the back end answers with an error
inline std::vector<Detections> detect(engine::Backend& backend, const std::vector<const Picture*>& pictures,
                                      engine::InputShape shape, const engine::DetectOptions& options = {}) {
  engine::Batch batch;
  batch.shape = shape;
  for (const Picture* picture : pictures) {
    engine::BatchEntry entry;
    entry.frame = frame_of(*picture);
    entry.options = &options;
    batch.entries.push_back(std::move(entry));
  }
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  std::string failure;
  std::vector<Detections> result;
  backend.enqueue(std::move(batch), [&](engine::Batch&& back, Result<void> status) {
    const std::lock_guard lock(mutex);
    if (!status) failure = status.error().message;
    for (auto& entry : back.entries) result.push_back(std::move(entry.detections));
    done = true;
    answered.notify_one();
  });
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return done; });
  if (!failure.empty()) throw std::runtime_error(failure);
  return result;
}

}  // namespace gantry::test
