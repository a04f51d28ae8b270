#include "gantry/vision/coco_eval.hpp"

#include <algorithm>
#include <numeric>

namespace gantry::vision {
namespace {

struct AreaRange {
  double low, high;
};
constexpr std::array<AreaRange, CocoEvaluator::kAreas> kAreaRanges{
    {{0, 1e10}, {0, 32.0 * 32.0}, {32.0 * 32.0, 96.0 * 96.0}, {96.0 * 96.0, 1e10}}};

constexpr double threshold(std::size_t index) {
  return 0.5 + 0.05 * static_cast<double>(index);
}

/// In double, like pycocotools; a crowd is measured against the detection alone.
double overlap(const Box& found, const LabelledBox& truth) {
  const double width =
      static_cast<double>(std::min(found.x2, truth.box.x2)) - static_cast<double>(std::max(found.x1, truth.box.x1));
  const double height =
      static_cast<double>(std::min(found.y2, truth.box.y2)) - static_cast<double>(std::max(found.y1, truth.box.y1));
  if (width <= 0 || height <= 0) return 0;
  const auto area = [](const Box& box) {
    return (static_cast<double>(box.x2) - static_cast<double>(box.x1)) *
           (static_cast<double>(box.y2) - static_cast<double>(box.y1));
  };
  const double both = width * height;
  return both / (truth.crowd ? area(found) : area(found) + area(truth.box) - both);
}

bool outside(double area, const AreaRange& range) {
  return area < range.low || area > range.high;
}

}  // namespace

CocoEvaluator::PerClass& CocoEvaluator::of_class(int class_id) {
  GANTRY_EXPECTS(class_id >= 0, "class ids count from 0");
  const auto index = static_cast<std::size_t>(class_id);
  if (index >= classes_.size()) classes_.resize(index + 1);
  return classes_[index];
}

void CocoEvaluator::add(const std::vector<LabelledBox>& truth, const Detections& detections) {
  int highest = -1;
  for (const LabelledBox& box : truth) highest = std::max(highest, box.class_id);
  for (const Detection& detection : detections) highest = std::max(highest, detection.class_id);
  for (int class_id = 0; class_id <= highest; ++class_id) {
    std::vector<const LabelledBox*> of_truth;
    std::vector<const Detection*> found;
    for (const LabelledBox& box : truth) {
      if (box.class_id == class_id) of_truth.push_back(&box);
    }
    for (const Detection& detection : detections) {
      if (detection.class_id == class_id) found.push_back(&detection);
    }
    if (of_truth.empty() && found.empty()) continue;
    std::stable_sort(found.begin(), found.end(), [](auto* a, auto* b) { return a->confidence > b->confidence; });
    if (found.size() > kMaxDetections) found.resize(kMaxDetections);
    judge(of_truth, found, pictures_, of_class(class_id));
  }
  ++pictures_;
}

void CocoEvaluator::judge(const std::vector<const LabelledBox*>& truth, const std::vector<const Detection*>& found,
                          std::uint32_t picture, PerClass& result) {
  Wanted wanted{picture, {}};
  const std::size_t first = result.detections.size();
  for (const Detection* detection : found) result.detections.push_back({detection->confidence, picture, {}});
  std::vector<double> overlaps(found.size() * truth.size());
  for (std::size_t d = 0; d < found.size(); ++d) {
    for (std::size_t g = 0; g < truth.size(); ++g) overlaps[d * truth.size() + g] = overlap(found[d]->box, *truth[g]);
  }
  for (std::size_t a = 0; a < kAreas; ++a) {
    const auto ignored = [&](std::size_t g) { return truth[g]->crowd || outside(truth[g]->area, kAreaRanges[a]); };
    std::vector<std::size_t> order(truth.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_partition(order.begin(), order.end(), [&](std::size_t g) { return !ignored(g); });
    for (std::size_t g = 0; g < truth.size(); ++g) wanted.positives[a] += ignored(g) ? 0 : 1;
    for (std::size_t t = 0; t < kThresholds; ++t) {
      const auto bit = static_cast<std::uint16_t>(1U << t);
      std::vector<bool> taken(truth.size());
      for (std::size_t d = 0; d < found.size(); ++d) {
        // The best box not yet taken; one that counts is preferred to any that is ignored.
        double best = std::min(threshold(t), 1 - 1e-10);
        std::size_t match = truth.size();
        for (const std::size_t g : order) {
          if (taken[g] && !truth[g]->crowd) continue;
          if (match != truth.size() && !ignored(match) && ignored(g)) break;
          if (overlaps[d * truth.size() + g] < best) continue;
          best = overlaps[d * truth.size() + g];
          match = g;
        }
        Verdict& verdict = result.detections[first + d].verdicts[a];
        if (match != truth.size()) {
          taken[match] = true;
          verdict.matched |= bit;
          if (ignored(match)) verdict.ignored |= bit;
        } else if (outside(found[d]->box.area(), kAreaRanges[a])) {
          verdict.ignored |= bit;
        }
      }
    }
  }
  if (std::any_of(truth.begin(), truth.end(), [](auto* box) { return !box->crowd; })) result.wanted.push_back(wanted);
}

CocoScore CocoEvaluator::score() const {
  return CocoScorer(*this).score(std::vector<std::uint32_t>(pictures_, 1));
}

}  // namespace gantry::vision
