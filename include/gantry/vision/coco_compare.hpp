#pragma once
// Two detectors on the same pictures: how far apart their scores are, and how far apart they would be on other pictures
// of the kind. Pure functions.
#include <cstdint>
#include <optional>
#include <vector>

#include "gantry/vision/coco_eval.hpp"

namespace gantry::vision {

/// Holds the true value with probability CompareOptions::confidence.
struct Interval {
  double low = 0, high = 0;
  [[nodiscard]] bool holds(double value) const noexcept { return low <= value && value <= high; }
};

/// One measure of both; first and second are -1 and nothing else is known where there is nothing to find.
struct Compared {
  double first = -1, second = -1;
  double difference = 0;             ///< second - first
  std::optional<Interval> interval;  ///< of the difference; none where fewer than kLeastPictures show such objects
};
struct ComparedClass {
  int class_id = 0;
  std::size_t images = 0, instances = 0;
  Compared ap50_95;
};

struct CocoComparison {
  Compared ap50_95, ap50;
  Compared small, medium, large;  ///< ap50_95 by size, as CocoScore
  double retention = 0;           ///< second over first of ap50_95; 0 where the first finds nothing
  std::optional<Interval> retention_interval;
  std::vector<ComparedClass> classes;  ///< those with instances, by id
};

struct CompareOptions {
  std::size_t draws = 1000;  ///< at least 1
  double confidence = 0.95;  ///< 0…1, both ends excluded
  std::uint64_t seed = 1;    ///< the same seed gives the same intervals on every machine
};

/// Fewer pictures than this say nothing about the spread between pictures.
inline constexpr std::size_t kLeastPictures = 5;

/// Bootstrap over pictures: `draws` times as many pictures as there are, drawn with replacement and the same ones for
/// both; interval by percentiles (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3). A draw
/// in which a class does not occur says nothing of that class.
/// @pre both evaluators were given the same pictures with the same labels, in the same order
[[nodiscard]] CocoComparison compare(const CocoEvaluator& first, const CocoEvaluator& second,
                                     const CompareOptions& options = {});

}  // namespace gantry::vision
