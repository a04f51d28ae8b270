#pragma once
// A known number of pictures through a back end, a few at a time, answers in the pictures' order: for measuring models.
#include <cstddef>
#include <functional>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

/// What was found on one picture.
struct PictureResult {
  int width = 0, height = 0;  ///< of the picture
  Detections detections;
};

struct SweepOptions {
  DetectOptions detect;
  bool any_shape = false;  ///< each picture in the rectangle that the back end chooses for it; else the native one
  std::function<void(std::size_t done)> progress;  ///< from threads of the back end, one at a time; may be empty
};

/// Prepares each shape when it first comes. `read(i)` makes the picture `i` when its turn comes, on the calling thread;
/// what it throws comes out here once everything under way has ended. @throws StartupError where the back end fails
[[nodiscard]] std::vector<PictureResult> sweep(Backend& backend, std::size_t count,
                                               const std::function<Frame(std::size_t)>& read,
                                               const SweepOptions& options);

}  // namespace gantry::engine
