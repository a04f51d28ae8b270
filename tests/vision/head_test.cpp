#include "gantry/vision/head.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "gantry/vision/nms.hpp"
#include "vision/head_kernels.hpp"

namespace gantry::vision {
namespace {

struct Maps {
  std::vector<std::vector<float>> values;
  std::vector<HeadLevel> levels;
};

/// A head over width x height input pixels, one anchor in five above the threshold in some class.
Maps random_maps(int width, int height, int classes, unsigned seed) {
  Maps maps;
  maps.values.reserve(6);
  std::mt19937 random(seed);
  std::normal_distribution<float> noise(0, 2);
  for (const int stride : {8, 16, 32}) {
    const int w = width / stride;
    const int h = height / stride;
    const auto area = static_cast<std::size_t>(w * h);
    auto& distances = maps.values.emplace_back(64 * area);
    for (float& value : distances) value = noise(random);
    auto& scores = maps.values.emplace_back(static_cast<std::size_t>(classes) * area);
    for (float& value : scores) value = noise(random) - 4;
    maps.levels.push_back({distances.data(), scores.data(), w, h, stride});
  }
  return maps;
}

bool operator==(const Detection& a, const Detection& b) {
  return a.class_id == b.class_id && a.confidence == b.confidence && a.box.x1 == b.box.x1 && a.box.y1 == b.box.y1 &&
         a.box.x2 == b.box.x2 && a.box.y2 == b.box.y2;
}

void expect_same(const std::vector<Detection>& a, const std::vector<Detection>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i] == b[i]) << "candidate " << i;
}

TEST(Head, FastDecodeEqualsTheReference) {
  unsigned seed = 1;
  for (const int classes : {1, 2, 6, 64, 80}) {
    for (const bool every_class : {false, true}) {
      for (const float confidence : {0.0F, 0.001F, 0.25F, 0.9F, 1.0F}) {
        const Maps maps = random_maps(160, 96, classes, seed++);
        std::vector<Detection> fast;
        std::vector<Detection> plain;
        decode_maps(maps.levels, classes, {confidence, every_class}, fast);
        decode_maps_reference(maps.levels, classes, {confidence, every_class}, plain);
        expect_same(fast, plain);
        if (confidence == 0 && every_class) {
          EXPECT_EQ(fast.size(), static_cast<std::size_t>(315 * classes));
        }
        if (confidence == 1) {
          EXPECT_TRUE(fast.empty());
        }
      }
    }
  }
}

TEST(Head, ACertainAnchorHasTheBoxItsDistancesSay) {
  Maps maps = random_maps(64, 64, 3, 1);
  for (auto& map : maps.values) std::fill(map.begin(), map.end(), -20.0F);
  // Stride 16 has 4 x 4 cells; cell (2, 1) sees class 1, its sides 1, 2, 3 and 4 cells away.
  const std::size_t cell = 1 * 4 + 2;
  auto& distances = maps.values[2];
  for (std::size_t side = 0; side < 4; ++side) distances[(side * 16 + side + 1) * 16 + cell] = 50;
  maps.values[3][1 * 16 + cell] = 2;
  std::vector<Detection> found;
  decode_maps(maps.levels, 3, {}, found);
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].class_id, 1);
  EXPECT_NEAR(found[0].confidence, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(found[0].box.x1, (2.5 - 1) * 16, 1e-3);
  EXPECT_NEAR(found[0].box.y1, (1.5 - 2) * 16, 1e-3);
  EXPECT_NEAR(found[0].box.x2, (2.5 + 3) * 16, 1e-3);
  EXPECT_NEAR(found[0].box.y2, (1.5 + 4) * 16, 1e-3);
}

TEST(Head, FinishedOutputIsReadByRows) {
  // Two anchors, three classes: rows are x, y, width, height, then scores.
  const std::vector<float> output{10, 50, 20, 60, 4, 8, 6, 2, 0.1F, 0.5F, 0.3F, 0.6F, 0.2F, 0.4F};
  std::vector<Detection> best;
  decode_output(output.data(), 3, 2, {0.25F, false}, best);
  expect_same(best, {{{8, 17, 12, 23}, 0.3F, 1}, {{46, 59, 54, 61}, 0.6F, 1}});
  std::vector<Detection> all;
  decode_output(output.data(), 3, 2, {0.25F, true}, all);
  expect_same(all, {{{8, 17, 12, 23}, 0.3F, 1},
                    {{46, 59, 54, 61}, 0.5F, 0},
                    {{46, 59, 54, 61}, 0.6F, 1},
                    {{46, 59, 54, 61}, 0.4F, 2}});
}

TEST(Head, MaxOverClassesIsTheSameInEveryKernel) {
  std::mt19937 random(4);
  std::normal_distribution<float> noise;
  for (const std::size_t count : {1, 31, 32, 33, 100, 256}) {
    std::vector<float> scores(7 * 300);
    for (float& value : scores) value = noise(random);
    std::vector<float> plain(count);
    std::vector<float> chosen(count);
    max_over_classes_portable(scores.data(), 300, 7, count, plain.data());
    max_over_classes_kernel()(scores.data(), 300, 7, count, chosen.data());
    EXPECT_EQ(plain, chosen) << count;
  }
}

std::vector<Detection> suppress(const std::vector<Detection>& candidates, const NmsOptions& options) {
  Detections kept;
  Suppressor().run(candidates, options, kept);
  return kept;
}

const std::vector<Detection> kCrowd{{{0, 0, 10, 10}, 0.5F, 0},
                                    {{1, 0, 11, 10}, 0.9F, 0},
                                    {{0, 0, 10, 10}, 0.8F, 1},
                                    {{50, 0, 60, 10}, 0.3F, 0},
                                    {{0, 1, 10, 11}, 0.4F, 2}};

TEST(Nms, SuppressesInsideAClassOnly) {
  expect_same(suppress(kCrowd, {.iou = 0.5F}), {kCrowd[1], kCrowd[2], kCrowd[4], kCrowd[3]});
}
TEST(Nms, AgnosticSuppressesAcrossClasses) {
  expect_same(suppress(kCrowd, {.iou = 0.5F, .agnostic = true}), {kCrowd[1], kCrowd[3]});
}
TEST(Nms, OverlapMustExceedTheThreshold) {
  // 9 x 10 of 110: 0.8181…
  expect_same(suppress({kCrowd[0], kCrowd[1]}, {.iou = 0.82F}), {kCrowd[1], kCrowd[0]});
  expect_same(suppress({kCrowd[0], kCrowd[1]}, {.iou = 0.81F}), {kCrowd[1]});
}
TEST(Nms, ClassesFilterAndLimitsKeepTheBest) {
  const std::vector<int> wanted{0, 2};
  expect_same(suppress(kCrowd, {.iou = 0.5F, .classes = wanted}), {kCrowd[1], kCrowd[4], kCrowd[3]});
  expect_same(suppress(kCrowd, {.iou = 0.5F, .max_detections = 2}), {kCrowd[1], kCrowd[2]});
  expect_same(suppress(kCrowd, {.iou = 0.99F, .max_candidates = 3}), {kCrowd[1], kCrowd[2], kCrowd[0]});
}
TEST(Nms, EqualConfidencesKeepTheirOrder) {
  const std::vector<Detection> twins{{{0, 0, 1, 1}, 0.5F, 0}, {{5, 5, 6, 6}, 0.5F, 0}, {{9, 9, 10, 10}, 0.5F, 0}};
  expect_same(suppress(twins, {}), twins);
}
TEST(Nms, AgreesWithThePlainDefinitionOnRandomBoxes) {
  std::mt19937 random(9);
  std::uniform_real_distribution<float> place(0, 100);
  std::uniform_real_distribution<float> size(5, 40);
  for (int round = 0; round < 50; ++round) {
    std::vector<Detection> candidates;
    for (int i = 0; i < 120; ++i) {
      const float x = place(random);
      const float y = place(random);
      candidates.push_back(
          {{x, y, x + size(random), y + size(random)}, place(random) / 100, static_cast<int>(random() % 3)});
    }
    std::vector<Detection> left = candidates;
    std::vector<Detection> expected;
    while (!left.empty()) {  // take the best, drop what it suppresses, again
      const auto best =
          *std::max_element(left.begin(), left.end(), [](auto& a, auto& b) { return a.confidence < b.confidence; });
      expected.push_back(best);
      std::erase_if(left, [&](const Detection& other) {
        return other == best || (other.class_id == best.class_id && iou(other.box, best.box) > 0.45F);
      });
    }
    expect_same(suppress(candidates, {.iou = 0.45F}), expected);
  }
}

}  // namespace
}  // namespace gantry::vision
