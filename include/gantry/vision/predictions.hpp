#pragma once
// Detections on paper: the JSONL that `gantry detect --json-out` writes (and peers in the same shape), and COCO's
// results format. Pure functions; thread-safe.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/result.hpp"

namespace gantry::vision {

/// One line: one frame.
struct FramePredictions {
  std::string camera;
  std::uint64_t seq = 0;
  int width = 0, height = 0;  ///< pixels
  Detections detections;
};

/// Other members of the objects are left alone; empty lines are fine. Errors name `name` and the line.
[[nodiscard]] Result<std::vector<FramePredictions>> parse_predictions(std::string_view jsonl, std::string_view name);

/// Appends one element of a COCO results list for each detection, comma between. Coordinates to 3 digits, scores to 5,
/// as Ultralytics writes them. `category_ids` maps class ids; empty: as they are.
void append_coco_results(std::int64_t image_id, const Detections& detections,
                         const std::vector<std::int64_t>& category_ids, std::string& out);

}  // namespace gantry::vision
