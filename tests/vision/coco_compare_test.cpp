#include "gantry/vision/coco_compare.hpp"

#include <gtest/gtest.h>

#include <random>

namespace gantry::vision {
namespace {

struct Picture {
  std::vector<LabelledBox> truth;
  Detections found;
};

/// Pictures of one to four boxes of three classes and three sizes; each box is found with probability `recall`, a
/// little off, and confidences never repeat. Class 2 is on the first two pictures only.
std::vector<Picture> make_pictures(std::size_t count, double recall, unsigned seed) {
  std::mt19937 random(7);
  std::mt19937 luck(seed);
  const auto unit = [](std::mt19937& from) { return static_cast<double>(from() >> 8) / static_cast<double>(1 << 24); };
  std::vector<Picture> pictures(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t boxes = 1 + random() % 4;
    for (std::size_t k = 0; k < boxes; ++k) {
      const float side = k % 3 == 0 ? 20.0F : k % 3 == 1 ? 60.0F : 150.0F;
      const float x = static_cast<float>(200 * k);
      const float y = static_cast<float>(random() % 100);
      const Box box{x, y, x + side, y + side};
      const int class_id = i < 2 && k == 0 ? 2 : static_cast<int>(random() % 2);
      pictures[i].truth.push_back({box, class_id, static_cast<double>(side) * static_cast<double>(side)});
      const double fortune = unit(luck);
      if (fortune >= recall) continue;
      const float off = side * static_cast<float>(fortune) * 0.2F;
      pictures[i].found.push_back(
          {{x + off, y, x + side + off, y + side}, static_cast<float>(0.3 + 0.7 * unit(luck)), class_id});
    }
  }
  return pictures;
}

CocoEvaluator evaluate(const std::vector<Picture>& pictures) {
  CocoEvaluator evaluator;
  for (const Picture& picture : pictures) evaluator.add(picture.truth, picture.found);
  return evaluator;
}

TEST(CocoScorer, ScoresRepeatedPicturesLikePicturesAddedAgain) {
  const auto pictures = make_pictures(12, 0.8, 3);
  const std::vector<std::uint32_t> times{1, 0, 3, 0, 2, 1, 1, 0, 0, 4, 0, 1};
  CocoEvaluator again;
  for (std::size_t i = 0; i < times.size(); ++i)
    for (std::uint32_t k = 0; k < times[i]; ++k) again.add(pictures[i].truth, pictures[i].found);
  const CocoScore expected = again.score();
  const CocoScore found = CocoScorer(evaluate(pictures)).score(times);
  EXPECT_NEAR(found.all.ap50_95, expected.all.ap50_95, 1e-12);
  EXPECT_NEAR(found.all.ap75, expected.all.ap75, 1e-12);
  EXPECT_NEAR(found.small, expected.small, 1e-12);
  EXPECT_NEAR(found.medium, expected.medium, 1e-12);
  EXPECT_NEAR(found.large, expected.large, 1e-12);
  EXPECT_NEAR(found.recall, expected.recall, 1e-12);
  ASSERT_EQ(found.classes.size(), expected.classes.size());
  for (std::size_t c = 0; c < found.classes.size(); ++c) {
    EXPECT_EQ(found.classes[c].images, expected.classes[c].images);
    EXPECT_EQ(found.classes[c].instances, expected.classes[c].instances);
  }
}

TEST(CocoCompare, EqualModelsDifferByNothingOnEveryDraw) {
  const CocoEvaluator model = evaluate(make_pictures(30, 0.8, 3));
  const CocoComparison same = compare(model, model);
  EXPECT_EQ(same.ap50_95.first, same.ap50_95.second);
  EXPECT_EQ(same.ap50_95.difference, 0);
  ASSERT_TRUE(same.ap50_95.interval);
  EXPECT_TRUE(same.ap50_95.interval->holds(0));
  EXPECT_EQ(same.ap50_95.interval->low, 0);
  EXPECT_EQ(same.ap50_95.interval->high, 0);
  EXPECT_EQ(same.retention, 1);
  for (const Compared* size : {&same.small, &same.medium, &same.large}) EXPECT_EQ(size->difference, 0);
  for (const ComparedClass& one : same.classes) EXPECT_EQ(one.ap50_95.difference, 0);
}

TEST(CocoCompare, LuckIsNotTakenForLossAndLossIsSeen) {
  const CocoEvaluator model = evaluate(make_pictures(60, 0.8, 3));
  const CocoEvaluator lucky = evaluate(make_pictures(60, 0.8, 4));  // as good, other misses
  const CocoEvaluator worse = evaluate(make_pictures(60, 0.3, 4));
  const CocoComparison luck = compare(model, lucky);
  ASSERT_TRUE(luck.ap50_95.interval);
  EXPECT_NE(luck.ap50_95.difference, 0);
  EXPECT_TRUE(luck.ap50_95.interval->holds(0)) << luck.ap50_95.interval->low << " … " << luck.ap50_95.interval->high;
  EXPECT_TRUE(luck.retention_interval->holds(1));
  const CocoComparison loss = compare(model, worse);
  EXPECT_LT(loss.ap50_95.interval->high, 0);
  EXPECT_LT(loss.retention_interval->high, 1);
  EXPECT_TRUE(loss.ap50_95.interval->holds(loss.ap50_95.difference));
  EXPECT_NEAR(loss.ap50_95.difference, loss.ap50_95.second - loss.ap50_95.first, 1e-15);
}

TEST(CocoCompare, TheOtherWayRoundTheSignsChange) {
  const CocoEvaluator one = evaluate(make_pictures(40, 0.8, 3));
  const CocoEvaluator other = evaluate(make_pictures(40, 0.5, 4));
  const CocoComparison there = compare(one, other);
  const CocoComparison back = compare(other, one);
  EXPECT_EQ(there.ap50_95.difference, -back.ap50_95.difference);
  EXPECT_EQ(there.ap50_95.interval->low, -back.ap50_95.interval->high);
}

TEST(CocoCompare, TheSameSeedGivesTheSameIntervals) {
  const CocoEvaluator one = evaluate(make_pictures(40, 0.8, 3));
  const CocoEvaluator other = evaluate(make_pictures(40, 0.7, 4));
  const auto interval = [&](std::uint64_t seed) { return *compare(one, other, {.seed = seed}).ap50_95.interval; };
  EXPECT_EQ(interval(1).low, interval(1).low);
  EXPECT_NE(interval(1).low, interval(2).low);
}

TEST(CocoCompare, MorePicturesNarrowTheInterval) {
  const auto width = [](std::size_t count) {
    const CocoComparison result =
        compare(evaluate(make_pictures(count, 0.8, 3)), evaluate(make_pictures(count, 0.7, 4)));
    const Interval interval = *result.classes[0].ap50_95.interval;  // the mean holds a class of two pictures
    return interval.high - interval.low;
  };
  EXPECT_LT(width(320), 0.6 * width(40));  // by theory the square root of 8
}

TEST(CocoCompare, WhatIsOnFewPicturesHasNoInterval) {
  const CocoEvaluator one = evaluate(make_pictures(40, 0.9, 3));
  const CocoComparison result = compare(one, one);
  ASSERT_EQ(result.classes.size(), 3U);
  EXPECT_TRUE(result.classes[0].ap50_95.interval);
  EXPECT_EQ(result.classes[2].images, 2U);
  EXPECT_FALSE(result.classes[2].ap50_95.interval) << "two pictures show no spread";
}

TEST(CocoCompare, NothingToFindIsNoDifference) {
  CocoEvaluator nothing;
  for (int i = 0; i < 6; ++i) nothing.add({}, {});
  const CocoComparison result = compare(nothing, nothing);
  EXPECT_EQ(result.ap50_95.first, -1);
  EXPECT_FALSE(result.ap50_95.interval);
  EXPECT_EQ(result.retention, 0);
}

}  // namespace
}  // namespace gantry::vision
