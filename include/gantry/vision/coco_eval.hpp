#pragma once
// COCO's detection metric: average precision over 10 IoU thresholds and 101 recall points, as pycocotools' COCOeval
// computes it with its defaults (at most 100 detections a picture and class, crowds ignored).
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/vision/dataset.hpp"

namespace gantry::vision {

/// Average precisions, 0…1; -1 where there is nothing to find.
struct AveragePrecision {
  double ap50_95 = -1;
  double ap50 = -1;
  double ap75 = -1;
};

struct ClassScore {
  int class_id = 0;
  std::size_t images = 0;     ///< with at least one box of the class
  std::size_t instances = 0;  ///< boxes that count (no crowds)
  AveragePrecision all;
};

struct CocoScore {
  AveragePrecision all;
  double small = -1;   ///< ap50_95 of boxes up to 32² px
  double medium = -1;  ///< up to 96²
  double large = -1;
  double recall = -1;               ///< mean over classes and thresholds, at most 100 detections
  std::vector<ClassScore> classes;  ///< those with instances, by id
};

/// Collects pictures one by one; score() may be asked at any time. One thread at a time.
class CocoEvaluator {
 public:
  /// Pictures count in the order in which they are added where scores are equal; pycocotools goes by id.
  void add(const std::vector<LabelledBox>& truth, const Detections& detections);
  [[nodiscard]] CocoScore score() const;
  [[nodiscard]] std::size_t pictures() const noexcept { return pictures_; }

  static constexpr std::size_t kThresholds = 10;  ///< IoU 0.50, 0.55, … 0.95
  static constexpr std::size_t kAreas = 4;        ///< all, small, medium, large
  static constexpr std::size_t kMaxDetections = 100;

 private:
  friend class CocoScorer;
  /// What became of one detection in one range of areas: a bit a threshold.
  struct Verdict {
    std::uint16_t matched = 0;
    std::uint16_t ignored = 0;
  };
  struct Scored {
    float confidence = 0;
    std::uint32_t picture = 0;
    std::array<Verdict, kAreas> verdicts;
  };
  /// What there is to find on one picture.
  struct Wanted {
    std::uint32_t picture = 0;
    std::array<std::uint32_t, kAreas> positives{};
  };
  struct PerClass {
    std::vector<Scored> detections;
    std::vector<Wanted> wanted;  ///< pictures with at least one box of the class that is no crowd
  };

  PerClass& of_class(int class_id);
  static void judge(const std::vector<const LabelledBox*>& truth, const std::vector<const Detection*>& found,
                    std::uint32_t picture, PerClass& result);

  std::vector<PerClass> classes_;
  std::uint32_t pictures_ = 0;
};

/// An evaluator's pictures, sorted once to be scored many times. Immutable; thread-safe.
class CocoScorer {
 public:
  explicit CocoScorer(const CocoEvaluator& evaluator);
  /// The score of a collection that holds the i-th picture added times[i] times.
  [[nodiscard]] CocoScore score(std::span<const std::uint32_t> times) const;

 private:
  std::vector<CocoEvaluator::PerClass> classes_;  ///< detections by falling confidence
  std::size_t pictures_;
};

}  // namespace gantry::vision
