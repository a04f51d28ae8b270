// From judged detections to average precisions.
#include <algorithm>
#include <limits>

#include "gantry/core/expects.hpp"
#include "gantry/vision/coco_eval.hpp"

namespace gantry::vision {
namespace {

constexpr std::size_t kRecallPoints = 101;

/// Where a right detection brought recall and precision.
struct Point {
  double recall, precision;
};

struct Curve {
  double mean_precision = 0;  ///< over 101 recalls
  double recall = 0;          ///< reached at the end
};

/// `points` in the order of falling confidence. Precision counts as the best at this recall or any higher one, and that
/// is always one at which something right was found: wrong detections add no points.
Curve summarise(std::vector<Point>& points) {
  for (std::size_t i = points.size(); i-- > 1;)
    points[i - 1].precision = std::max(points[i - 1].precision, points[i].precision);
  double sum = 0;
  auto at = points.begin();
  for (std::size_t r = 0; r < kRecallPoints; ++r) {
    const double wanted = r + 1 == kRecallPoints ? 1.0 : static_cast<double>(r) * 0.01;
    while (at != points.end() && at->recall < wanted) ++at;
    if (at == points.end()) break;
    sum += at->precision;
  }
  return {sum / kRecallPoints, points.empty() ? 0 : points.back().recall};
}

}  // namespace

CocoScorer::CocoScorer(const CocoEvaluator& evaluator) : classes_(evaluator.classes_), pictures_(evaluator.pictures()) {
  for (auto& of : classes_)
    std::stable_sort(of.detections.begin(), of.detections.end(),
                     [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
}

CocoScore CocoScorer::score(std::span<const std::uint32_t> times) const {
  GANTRY_EXPECTS(times.size() == pictures_, "how often each picture counts");
  constexpr std::size_t kAreas = CocoEvaluator::kAreas;
  constexpr std::size_t kThresholds = CocoEvaluator::kThresholds;
  CocoScore score;
  std::array<double, kAreas> sums{};
  std::array<std::size_t, kAreas> counts{};
  double sum50 = 0;
  double sum75 = 0;
  double recall_sum = 0;
  std::vector<Point> points;
  const auto curve = [&](const CocoEvaluator::PerClass& of, std::size_t a, std::size_t t, std::size_t positives) {
    points.clear();
    std::size_t right = 0;
    std::size_t wrong = 0;
    for (const auto& detection : of.detections) {
      const auto& verdict = detection.verdicts[a];
      const std::size_t count = times[detection.picture];
      if ((verdict.ignored >> t & 1U) != 0 || count == 0) continue;
      if ((verdict.matched >> t & 1U) == 0) {
        wrong += count;
        continue;
      }
      right += count;
      points.push_back(
          {static_cast<double>(right) / static_cast<double>(positives),
           static_cast<double>(right) / (static_cast<double>(right + wrong) + std::numeric_limits<double>::epsilon())});
    }
    return summarise(points);
  };
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    const auto& of = classes_[c];
    std::size_t images = 0;
    std::array<std::size_t, kAreas> positives{};
    for (const auto& wanted : of.wanted) {
      images += times[wanted.picture];
      for (std::size_t a = 0; a < kAreas; ++a) positives[a] += std::size_t{wanted.positives[a]} * times[wanted.picture];
    }
    for (std::size_t a = 0; a < kAreas; ++a) {
      if (positives[a] == 0) continue;
      ++counts[a];
      std::array<Curve, kThresholds> curves;
      double mean = 0;
      for (std::size_t t = 0; t < kThresholds; ++t) {
        curves[t] = curve(of, a, t, positives[a]);
        mean += curves[t].mean_precision / kThresholds;
      }
      sums[a] += mean;
      if (a != 0) continue;
      const AveragePrecision all{mean, curves[0].mean_precision, curves[5].mean_precision};
      sum50 += all.ap50;
      sum75 += all.ap75;
      for (const Curve& one : curves) recall_sum += one.recall / kThresholds;
      score.classes.push_back({static_cast<int>(c), images, positives[0], all});
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
