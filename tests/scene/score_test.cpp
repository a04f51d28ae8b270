#include "gantry/scene/score.hpp"

#include <gtest/gtest.h>

#include "gantry/scene/truth.hpp"

namespace gantry::scene {
namespace {

ObjectTruth object(std::uint32_t id, int class_id, Box box, float occlusion = 0) {
  ObjectTruth o;
  o.id = id;
  o.class_id = class_id;
  o.full = box;
  o.visible = box;
  o.visible_px = 100;
  o.occlusion = occlusion;
  return o;
}

std::string truth_of(const std::vector<std::vector<ObjectTruth>>& frames) {
  std::string text = "{\"scene\":\"junction\"}\n";
  for (std::size_t i = 0; i < frames.size(); ++i) {
    FrameTruth frame;
    frame.camera = "c";
    frame.seq = i;
    frame.pts_ms = 100.0 * static_cast<double>(i);
    frame.objects = frames[i];
    append_truth_jsonl(frame, text);
  }
  return text;
}

std::string result(int seq, const std::string& detections, const std::string& camera = "c") {
  return "{\"camera\":\"" + camera + "\",\"seq\":" + std::to_string(seq) + ",\"detections\":[" + detections + "]}\n";
}

std::string found(const char* name, double confidence, Box b) {
  return "{\"class_id\":0,\"class\":\"" + std::string(name) + "\",\"confidence\":" + std::to_string(confidence) +
         ",\"box\":[" + std::to_string(b.x1) + "," + std::to_string(b.y1) + "," + std::to_string(b.x2) + "," +
         std::to_string(b.y2) + "]}";
}

constexpr Box kLeft{10, 10, 50, 40};
constexpr Box kRight{100, 10, 150, 60};

TEST(Score, PerfectResultsArePerfect) {
  const std::string truth = truth_of({{object(1, 2, kLeft), object(2, 5, kRight)}, {object(1, 2, kLeft)}});
  const std::string results =
      result(0, found("car", .9, kLeft) + "," + found("truck", .8, kRight)) + result(1, found("car", .9, kLeft));
  const auto report = score(truth, results, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->frames, 2U);
  EXPECT_DOUBLE_EQ(report->precision, 1);
  EXPECT_DOUBLE_EQ(report->recall, 1);
  EXPECT_NEAR(report->map50, 1, 1e-9);
  EXPECT_DOUBLE_EQ(report->first_median_ms, 0);
  EXPECT_EQ(report->never_found, 0U);
  ASSERT_EQ(report->classes.size(), 2U);
  EXPECT_EQ(report->classes[0].name, "car");
}

TEST(Score, CountsMissedWrongAndLate) {
  const std::string truth =
      truth_of({{object(1, 2, kLeft)}, {object(1, 2, kLeft)}, {object(1, 2, kLeft), object(2, 4, kRight)}});
  const std::string results = result(0, found("car", .9, kRight)) +                                // elsewhere
                              result(1, found("car", .1, kLeft)) +                                 // too unsure
                              result(2, found("car", .9, kLeft) + "," + found("car", .8, kLeft));  // twice
  const auto report = score(truth, results, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->classes[0].objects, 3U);
  EXPECT_EQ(report->classes[0].found, 1U);
  EXPECT_EQ(report->classes[0].wrong, 2U);
  EXPECT_NEAR(report->precision, 1.0 / 3, 1e-9);
  EXPECT_NEAR(report->recall, 1.0 / 4, 1e-9);
  EXPECT_DOUBLE_EQ(report->first_median_ms, 200);
  EXPECT_EQ(report->never_found, 1U);
}

TEST(Score, HiddenAndTinyObjectsAreNeitherMissedNorWrong) {
  const std::string truth =
      truth_of({{object(1, 2, kLeft, 0.9F), object(2, 2, {200, 10, 204, 14}), object(3, 2, kRight)}});
  const std::string results =
      result(0, found("car", .9, kLeft) + "," + found("car", .9, kRight) + "," + found("dog", .9, kRight));
  const auto report = score(truth, results, {});
  ASSERT_TRUE(report);
  EXPECT_DOUBLE_EQ(report->precision, 1);
  EXPECT_DOUBLE_EQ(report->recall, 1);
}

TEST(Score, FramesWithoutResultAreCountedApart) {
  const std::string truth = truth_of({{object(1, 2, kLeft)}, {object(1, 2, kLeft)}});
  ScoreOptions options;
  options.camera = "c";
  const auto report = score(truth, result(0, found("car", .9, kLeft)) + result(1, "", "another"), options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->frames, 1U);
  EXPECT_EQ(report->without_result, 1U);
}

TEST(Score, BadLinesAreNamed) {
  const auto report = score(truth_of({{}}), "\n{\"camera\":\"c\",\"seq\":0}\n", {});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("results, line 2"), std::string::npos) << report.error().message;
  EXPECT_FALSE(score("not json", "", {}));
}

}  // namespace
}  // namespace gantry::scene
