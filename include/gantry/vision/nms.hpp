#pragma once
// Greedy non-maximum suppression with Ultralytics' meaning of each option.
#include <cstdint>
#include <span>
#include <vector>

#include "gantry/core/detection.hpp"

namespace gantry::vision {

struct NmsOptions {
  float iou = 0.7F;                ///< a box that overlaps a kept, better one by more than this goes
  int max_detections = 300;        ///< best ones kept
  bool agnostic = false;           ///< boxes of different classes suppress each other too
  std::span<const int> classes{};  ///< keep only these; empty keeps all
  int max_candidates = 30'000;     ///< best ones looked at
};

/// One a thread; keeps its scratch, so that it stops allocating once warm.
class Suppressor {
 public:
  /// Fills `kept` in falling order of confidence; equal ones in the order of `candidates`.
  void run(std::span<const Detection> candidates, const NmsOptions& options, Detections& kept);

 private:
  std::vector<std::uint32_t> order_;
};

}  // namespace gantry::vision
