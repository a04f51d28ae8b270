#pragma once
// Detection options that outlive everything that points at them. Cameras mostly share a few sets, so each distinct set
// is kept once and for good: a frame, or a batch that a hung back end still holds, may name it at any time.
#include <algorithm>
#include <deque>
#include <mutex>

#include "gantry/engine/backend.hpp"

namespace gantry::app {

/// Thread-safe.
class OptionsPool {
 public:
  [[nodiscard]] const engine::DetectOptions* intern(const engine::DetectOptions& options) {
    const std::lock_guard lock{mutex_};
    const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) { return same(kept, options); });
    return known != kept_.end() ? &*known : &kept_.emplace_back(options);
  }

 private:
  static bool same(const engine::DetectOptions& a, const engine::DetectOptions& b) {
    return a.confidence == b.confidence && a.iou == b.iou && a.max_detections == b.max_detections &&
           a.agnostic == b.agnostic && a.classes == b.classes;
  }
  std::mutex mutex_;
  std::deque<engine::DetectOptions> kept_;  // a deque: never moves what it holds
};

}  // namespace gantry::app
