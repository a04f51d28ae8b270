#pragma once
// Predictions as JSONL, one object a frame, and how far two sets of them agree.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "gantry/core/detection.hpp"

namespace gantry::test {

/// Detections by (camera, seq).
using Predictions = std::map<std::pair<std::string, std::uint64_t>, Detections>;

/// Reads what `gantry detect --json-out` and the reference files hold.
/// @throws std::runtime_error naming file and line
Predictions read_predictions(const std::filesystem::path& file);

struct MatchRule {
  float iou = 0.98F;         ///< at least
  float confidence = 0.01F;  ///< at most apart
};

struct Agreement {
  std::size_t expected = 0;  ///< boxes
  std::size_t found = 0;     ///< boxes
  std::size_t matched = 0;   ///< pairs, one to one, of the same class and within the rule
  Agreement& operator+=(const Agreement& other);
  /// Pairs over the larger side: a box too many costs what a box too few costs. 1 where both are empty.
  [[nodiscard]] double rate() const;
};

Agreement compare(const Detections& expected, const Detections& found, const MatchRule& rule);

}  // namespace gantry::test
