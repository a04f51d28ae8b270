#include "gantry/vision/coco_eval.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace gantry::vision {
namespace {

constexpr std::size_t kRecallPoints = 101;

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

/// Precision at 101 recalls of detections in falling order of confidence; and the recall reached.
struct Curve {
  double mean_precision = 0;
  double recall = 0;
};

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
    judge(of_truth, found, of_class(class_id));
  }
}

void CocoEvaluator::judge(const std::vector<const LabelledBox*>& truth, const std::vector<const Detection*>& found,
                          PerClass& result) {
  if (std::any_of(truth.begin(), truth.end(), [](auto* box) { return !box->crowd; })) ++result.images;
  const std::size_t first = result.detections.size();
  for (const Detection* detection : found) result.detections.push_back({detection->confidence, {}});
  std::vector<double> overlaps(found.size() * truth.size());
  for (std::size_t d = 0; d < found.size(); ++d) {
    for (std::size_t g = 0; g < truth.size(); ++g) overlaps[d * truth.size() + g] = overlap(found[d]->box, *truth[g]);
  }
  for (std::size_t a = 0; a < kAreas; ++a) {
    const auto ignored = [&](std::size_t g) { return truth[g]->crowd || outside(truth[g]->area, kAreaRanges[a]); };
    std::vector<std::size_t> order(truth.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_partition(order.begin(), order.end(), [&](std::size_t g) { return !ignored(g); });
    for (std::size_t g = 0; g < truth.size(); ++g) result.positives[a] += ignored(g) ? 0 : 1;
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
}

CocoScore CocoEvaluator::score() const {
  CocoScore score;
  std::array<double, kAreas> sums{};
  std::array<std::size_t, kAreas> counts{};
  double sum50 = 0;
  double sum75 = 0;
  double recall_sum = 0;
  std::vector<std::size_t> order;
  std::vector<double> recalls;
  std::vector<double> precisions;
  const auto curve = [&](const PerClass& of, std::size_t a, std::size_t t) {
    recalls.clear();
    precisions.clear();
    std::size_t right = 0;
    std::size_t wrong = 0;
    for (const std::size_t index : order) {
      const Verdict& verdict = of.detections[index].verdicts[a];
      if ((verdict.ignored >> t & 1U) == 0) ++((verdict.matched >> t & 1U) != 0 ? right : wrong);
      recalls.push_back(static_cast<double>(right) / static_cast<double>(of.positives[a]));
      precisions.push_back(static_cast<double>(right) /
                           (static_cast<double>(right + wrong) + std::numeric_limits<double>::epsilon()));
    }
    for (std::size_t i = precisions.size(); i-- > 1;) precisions[i - 1] = std::max(precisions[i - 1], precisions[i]);
    double sum = 0;
    for (std::size_t r = 0; r < kRecallPoints; ++r) {
      const double wanted = r + 1 == kRecallPoints ? 1.0 : static_cast<double>(r) * 0.01;
      const auto at = std::lower_bound(recalls.begin(), recalls.end(), wanted) - recalls.begin();
      if (static_cast<std::size_t>(at) < precisions.size()) sum += precisions[static_cast<std::size_t>(at)];
    }
    return Curve{sum / kRecallPoints, recalls.empty() ? 0 : recalls.back()};
  };
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    const PerClass& of = classes_[c];
    order.resize(of.detections.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return of.detections[a].confidence > of.detections[b].confidence;
    });
    for (std::size_t a = 0; a < kAreas; ++a) {
      if (of.positives[a] == 0) continue;
      ++counts[a];
      std::array<Curve, kThresholds> curves;
      double mean = 0;
      for (std::size_t t = 0; t < kThresholds; ++t) {
        curves[t] = curve(of, a, t);
        mean += curves[t].mean_precision / kThresholds;
      }
      sums[a] += mean;
      if (a != 0) continue;
      const AveragePrecision all{mean, curves[0].mean_precision, curves[5].mean_precision};
      sum50 += all.ap50;
      sum75 += all.ap75;
      for (const Curve& one : curves) recall_sum += one.recall / kThresholds;
      score.classes.push_back({static_cast<int>(c), of.images, of.positives[0], all});
    }
  }
  const auto mean_of = [&](std::size_t a) { return counts[a] == 0 ? -1.0 : sums[a] / static_cast<double>(counts[a]); };
  score.all.ap50_95 = mean_of(0);
  score.small = mean_of(1);
  score.medium = mean_of(2);
  score.large = mean_of(3);
  if (counts[0] > 0) {
    score.all.ap50 = sum50 / static_cast<double>(counts[0]);
    score.all.ap75 = sum75 / static_cast<double>(counts[0]);
    score.recall = recall_sum / static_cast<double>(counts[0]);
  }
  return score;
}

}  // namespace gantry::vision
