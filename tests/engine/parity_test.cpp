// One suite over every back end: the same boxes as Ultralytics, box by box.
#include <gtest/gtest.h>

#include "engine/backend_harness.hpp"
#include "gantry/engine/factory.hpp"
#include "support/predictions.hpp"
#include "support/test_data.hpp"

namespace gantry::engine {
namespace {

using test::Agreement;
using test::test_data;

struct Subject {
  std::string name;
  Device device;
  std::string model;  ///< below the test data
};
void PrintTo(const Subject& subject, std::ostream* out) {
  *out << subject.name;
}

class Parity : public testing::TestWithParam<Subject> {};

TEST_P(Parity, SameBoxesAsUltralyticsOn160Pictures) {
  GANTRY_NEEDS_DATA("reference/yolo11n_fp32_640x640_coco_val.jsonl");
  ModelOptions options;
  options.path = test_data(GetParam().model);
  options.device = GetParam().device;
  options.input = {640, 640};
  const auto backend = make_backend(options);
  const auto reference = test::read_predictions(test_data("reference/yolo11n_fp32_640x640_coco_val.jsonl"));
  ASSERT_EQ(reference.size(), 160);
  Agreement total;
  std::vector<test::Picture> pictures;
  std::vector<const test::Picture*> views;
  for (const auto& [key, expected] : reference)
    pictures.push_back(test::read_jpeg(test_data("coco_val/images") / (key.first + ".jpg")));
  for (const auto& picture : pictures) views.push_back(&picture);
  std::vector<Detections> found;
  constexpr std::size_t kBatch = 16;
  for (std::size_t start = 0; start < views.size(); start += kBatch) {
    for (auto& one : test::detect(*backend, {views.begin() + start, views.begin() + start + kBatch}, {640, 640})) {
      found.push_back(std::move(one));
    }
  }
  std::size_t index = 0;
  for (const auto& [key, expected] : reference) total += test::compare(expected, found[index++], {0.98F, 0.01F});
  RecordProperty("agreement", std::to_string(total.rate()));
  EXPECT_GE(total.rate(), 0.99) << total.matched << " pairs of " << total.expected << " expected and " << total.found
                                << " found";
}

INSTANTIATE_TEST_SUITE_P(Backends, Parity,
                         testing::Values(Subject{"openvino_fp32", Device::kCpu, "weights/yolo11n.onnx"},
                                         Subject{"openvino_static_export", Device::kCpu,
                                                 "weights/ultralytics_exports/yolo11n_ultra_static.onnx"}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace gantry::engine
