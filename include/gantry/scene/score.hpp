#pragma once
// How well a detector's results fit a simulated camera's truth.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/result.hpp"

namespace gantry::scene {

struct ScoreOptions {
  double confidence = 0.25;     ///< precision, recall and latency count detections from here; mAP counts all
  double iou = 0.5;             ///< at which a detection is right, 0…1
  double max_occlusion = 0.75;  ///< what is hidden more is neither missed nor wrong
  double max_truncation = 0.6;  ///< likewise outside the picture
  double min_side_px = 8;       ///< likewise smaller
  std::string camera;           ///< take only these lines of the results; empty: all
};

struct ClassReport {
  std::string name;
  std::uint64_t objects = 0;  ///< boxes to find, over all frames
  std::uint64_t found = 0;
  std::uint64_t wrong = 0;  ///< detections of the class that are nothing of it
  double precision = -1;    ///< -1 where nothing was detected
  double recall = -1;       ///< -1 where there is nothing to find
  double ap50 = -1, ap50_95 = -1;
};

struct ScoreReport {
  std::uint64_t frames = 0;            ///< with truth and a result
  std::uint64_t without_result = 0;    ///< with truth only
  std::vector<ClassReport> classes;    ///< in the order of class ids, those with objects or detections
  double precision = -1, recall = -1;  ///< over all boxes
  double map50 = -1, map50_95 = -1;    ///< means over classes
  /// From the first frame in which an object is to be found to the first in which it is, in ms of video, over objects.
  double first_median_ms = -1, first_p90_ms = -1;
  std::uint64_t tracks = 0, never_found = 0;  ///< objects by id
};

/// `truth` is what `gantry scene render --truth` or `truth=` wrote, `results` what `gantry detect --json-out` wrote;
/// frames meet by their number. Classes meet by name, so that a detector of COCO's 80 classes can be scored; names that
/// the simulator does not know count for nothing. Errors name the line.
[[nodiscard]] Result<ScoreReport> score(std::string_view truth, std::string_view results, const ScoreOptions& options);

}  // namespace gantry::scene
