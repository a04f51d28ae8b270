#include "gantry/vision/coco_compare.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "gantry/core/expects.hpp"

namespace gantry::vision {
namespace {

/// How often each of `count` pictures comes up when `count` are drawn with replacement.
std::vector<std::uint32_t> draw(std::mt19937_64& random, std::size_t count) {
  std::vector<std::uint32_t> times(count, 0);
  // The upper 32 bits, scaled: std::uniform_int_distribution differs between standard libraries.
  for (std::size_t i = 0; i < count; ++i) ++times[(random() >> 32) * count >> 32];
  return times;
}

/// The middle `confidence` of the values; none of an empty vector.
std::optional<Interval> middle(std::vector<double> values, double confidence) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const double tail = (1 - confidence) / 2 * static_cast<double>(values.size());
  const auto low = std::min(static_cast<std::size_t>(tail), values.size() - 1);
  return Interval{values[low], values[values.size() - 1 - low]};
}

/// One measure over all draws.
struct Spread {
  std::vector<double> differences;
  void add(double first, double second) {
    if (first >= 0 && second >= 0) differences.push_back(second - first);
  }
  [[nodiscard]] Compared summary(double first, double second, bool enough, double confidence) const {
    Compared compared{first, second, 0, std::nullopt};
    if (first < 0 || second < 0) return compared;
    compared.difference = second - first;
    if (enough) compared.interval = middle(differences, confidence);
    return compared;
  }
};

}  // namespace

CocoComparison compare(const CocoEvaluator& first, const CocoEvaluator& second, const CompareOptions& options) {
  GANTRY_EXPECTS(first.pictures() == second.pictures(), "the same pictures for both");
  GANTRY_EXPECTS(options.draws > 0 && options.confidence > 0 && options.confidence < 1, "options in their ranges");
  const std::size_t pictures = first.pictures();
  const CocoScorer scorers[]{CocoScorer(first), CocoScorer(second)};
  Spread all;
  Spread ap50;
  Spread small;
  Spread medium;
  Spread large;
  std::map<int, Spread> classes;
  std::vector<double> retentions;
  std::mt19937_64 random(options.seed);
  for (std::size_t i = 0; i < options.draws; ++i) {
    const auto times = draw(random, pictures);
    const CocoScore a = scorers[0].score(times);
    const CocoScore b = scorers[1].score(times);
    GANTRY_EXPECTS(a.classes.size() == b.classes.size(), "the same labels for both");
    all.add(a.all.ap50_95, b.all.ap50_95);
    ap50.add(a.all.ap50, b.all.ap50);
    small.add(a.small, b.small);
    medium.add(a.medium, b.medium);
    large.add(a.large, b.large);
    if (a.all.ap50_95 > 0) retentions.push_back(b.all.ap50_95 / a.all.ap50_95);
    for (std::size_t c = 0; c < a.classes.size(); ++c)
      classes[a.classes[c].class_id].add(a.classes[c].all.ap50_95, b.classes[c].all.ap50_95);
  }

  const CocoScore a = first.score();
  const CocoScore b = second.score();
  const bool enough = pictures >= kLeastPictures;
  const auto summary = [&](const Spread& spread, double one, double other, bool many) {
    return spread.summary(one, other, many, options.confidence);
  };
  CocoComparison result;
  result.ap50_95 = summary(all, a.all.ap50_95, b.all.ap50_95, enough);
  result.ap50 = summary(ap50, a.all.ap50, b.all.ap50, enough);
  result.small = summary(small, a.small, b.small, enough);
  result.medium = summary(medium, a.medium, b.medium, enough);
  result.large = summary(large, a.large, b.large, enough);
  if (a.all.ap50_95 > 0) {
    result.retention = b.all.ap50_95 / a.all.ap50_95;
    if (enough) result.retention_interval = middle(std::move(retentions), options.confidence);
  }
  for (std::size_t c = 0; c < a.classes.size(); ++c) {
    const ClassScore& one = a.classes[c];
    result.classes.push_back(
        {one.class_id, one.images, one.instances,
         summary(classes[one.class_id], one.all.ap50_95, b.classes[c].all.ap50_95, one.images >= kLeastPictures)});
  }
  return result;
}

}  // namespace gantry::vision
