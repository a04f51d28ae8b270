#include "gantry/vision/coco_eval.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace gantry::vision {
namespace {

using nlohmann::json;

Box box_of(const json& xywh) {
  const float x = xywh[0];
  const float y = xywh[1];
  return {x, y, x + xywh[2].get<float>(), y + xywh[3].get<float>()};
}

TEST(CocoEval, AgreesWithPycocotools) {
  const auto data = json::parse(std::ifstream(GANTRY_SOURCE_DIR "/tests/vision/coco_expectation.json"));
  std::map<int, std::pair<std::vector<LabelledBox>, Detections>> images;
  for (const auto& image : data["truth"]["images"]) images[image["id"]];
  for (const auto& item : data["truth"]["annotations"]) {
    images[item["image_id"]].first.push_back(
        {box_of(item["bbox"]), item["category_id"], item["area"], item["iscrowd"] == 1});
  }
  for (const auto& item : data["results"]) {
    images[item["image_id"]].second.push_back({box_of(item["bbox"]), item["score"], item["category_id"]});
  }
  CocoEvaluator evaluator;
  for (const auto& [id, image] : images) evaluator.add(image.first, image.second);
  const CocoScore score = evaluator.score();
  const json& expected = data["expected"];
  constexpr double kClose = 1e-9;
  EXPECT_NEAR(score.all.ap50_95, expected["map50_95"], kClose);
  EXPECT_NEAR(score.all.ap50, expected["map50"], kClose);
  EXPECT_NEAR(score.all.ap75, expected["map75"], kClose);
  EXPECT_NEAR(score.small, expected["small"], kClose);
  EXPECT_NEAR(score.medium, expected["medium"], kClose);
  EXPECT_NEAR(score.large, expected["large"], kClose);
  EXPECT_NEAR(score.recall, expected["recall"], kClose);
  ASSERT_EQ(score.classes.size(), 4) << "the class without boxes has no score";
  for (const ClassScore& one : score.classes) {
    const json& of_class = expected["per_class"][static_cast<std::size_t>(one.class_id)];
    EXPECT_NEAR(one.all.ap50_95, of_class[0], kClose) << one.class_id;
    EXPECT_NEAR(one.all.ap50, of_class[1], kClose) << one.class_id;
  }
}

LabelledBox labelled(Box box, int class_id) {
  return {box, class_id, static_cast<double>(box.area())};
}

TEST(CocoEval, ByHand) {
  // Two boxes; the better detection hits one exactly, the next is wrong, the last hits the other at IoU 0.8.
  CocoEvaluator evaluator;
  evaluator.add({labelled({0, 0, 100, 100}, 0), labelled({200, 0, 300, 100}, 0)},
                {{{0, 0, 100, 100}, 0.9F, 0}, {{500, 500, 600, 600}, 0.8F, 0}, {{200, 0, 300, 80}, 0.7F, 0}});
  const CocoScore score = evaluator.score();
  // Up to IoU 0.80: precision 1 for recall up to 0.5 (51 of 101 points), 2/3 beyond. Above: 51 points of 1.
  const double lenient = (51 + 50 * 2.0 / 3) / 101;
  const double strict = 51.0 / 101;
  EXPECT_NEAR(score.all.ap50, lenient, 1e-9);
  EXPECT_NEAR(score.all.ap50_95, (7 * lenient + 3 * strict) / 10, 1e-9);
  EXPECT_EQ(score.classes[0].instances, 2);
  EXPECT_EQ(score.classes[0].images, 1);
  EXPECT_EQ(score.small, -1);
  EXPECT_NEAR(score.large, score.all.ap50_95, 1e-9);
}

TEST(CocoEval, NothingToFindScoresNothing) {
  CocoEvaluator evaluator;
  EXPECT_EQ(evaluator.score().all.ap50, -1);
  evaluator.add({}, {{{0, 0, 10, 10}, 0.9F, 3}});
  EXPECT_EQ(evaluator.score().all.ap50, -1);
  evaluator.add({labelled({0, 0, 10, 10}, 0)}, {});
  EXPECT_EQ(evaluator.score().all.ap50, 0);
}

}  // namespace
}  // namespace gantry::vision
