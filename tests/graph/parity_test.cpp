// The real network: the CPU executor of the fused plan against OpenVINO's float32 run of the unfused file, and against
// Ultralytics' own boxes.
#include <gtest/gtest.h>

#include <cmath>
#include <openvino/openvino.hpp>

#include "gantry/engine/graph/executor.hpp"
#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/vision/letterbox.hpp"
#include "support/pictures.hpp"
#include "support/predictions.hpp"
#include "support/test_data.hpp"

namespace gantry::graph {
namespace {

using test::test_data;

constexpr float kTolerance = 1e-3F;  // of raw maps (logits up to about 20) and of scores
constexpr const char* kStaticExport = "weights/ultralytics_exports/yolo11n_ultra_static.onnx";
constexpr const char* kDynamicExport = "weights/ultralytics_exports/yolo11n_ultra_dynamic.onnx";
constexpr const char* kModel = "weights/yolo11n.onnx";

/// A picture as the network takes it, [3][height][width].
std::vector<float> network_input(const std::filesystem::path& file, engine::InputShape shape,
                                 vision::LetterboxGeometry* geometry = nullptr) {
  const test::Picture picture = test::read_jpeg(file);
  const auto g = vision::letterbox_geometry(picture.width, picture.height, shape.width, shape.height);
  std::vector<float> planes(3 * static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height));
  vision::letterbox_reference(picture.view(), g, planes.data());
  if (geometry != nullptr) *geometry = g;
  return planes;
}

/// Runs a file in OpenVINO, float32. Outputs: the file's own, then the named tensors.
class OpenVino {
 public:
  OpenVino(const std::filesystem::path& file, engine::InputShape shape, const std::vector<std::string>& tensors) {
    auto model = core_.read_model(file.string());
    for (const std::string& tensor : tensors) model->add_output(tensor);
    shape_ = {1, 3, static_cast<std::size_t>(shape.height), static_cast<std::size_t>(shape.width)};
    model->reshape(ov::PartialShape(shape_));
    request_ =
        core_.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  }
  void run(std::vector<float>& input) {
    request_.set_input_tensor(ov::Tensor(ov::element::f32, shape_, input.data()));
    request_.infer();
  }
  ov::Tensor output(std::size_t index) { return request_.get_output_tensor(index); }

 private:
  ov::Core core_;
  ov::Shape shape_;
  ov::InferRequest request_;
};

/// The largest difference between a channels-last map and planes.
float largest_difference(const ConstMap& map, const float* planes) {
  float worst = 0;
  const int pixels = map.height * map.width;
  for (int c = 0; c < map.channels; ++c)
    for (int p = 0; p < pixels; ++p) {
      const float difference = std::abs(map.data[p * map.pitch + c] - planes[std::ptrdiff_t{c} * pixels + p]);
      if (!(difference <= worst)) worst = difference;  // keeps a NaN
    }
  return worst;
}

void expect_openvino_agrees(const std::filesystem::path& planned_file, const std::filesystem::path& openvino_file,
                            engine::InputShape shape, const char* picture) {
  const Model model = Model::load(planned_file.string());
  std::vector<float> input = network_input(test_data("coco_val/images") / picture, shape);
  CpuExecutor executor(make_plan(model, shape));
  executor.run(input, 1);
  OpenVino openvino(openvino_file, shape, Model::load(openvino_file.string()).head().tensors());
  openvino.run(input);
  const auto maps = executor.head_maps(0);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const ov::Tensor expected = openvino.output(i + 1);
    ASSERT_EQ(static_cast<std::size_t>(maps[i].channels * maps[i].height * maps[i].width), expected.get_size());
    EXPECT_LE(largest_difference(maps[i], expected.data<float>()), kTolerance) << model.head().tensors()[i];
  }
}

TEST(GraphParity, FusedPlanMatchesOpenVinoAt640) {
  GANTRY_NEEDS_DATA("coco_val/images");
  expect_openvino_agrees(test_data(kModel), test_data(kModel), {640, 640}, "000000000139.jpg");
}

TEST(GraphParity, ExportFrozenFor640RunsAt640x384) {
  GANTRY_NEEDS_DATA("coco_val/images");
  // OpenVINO can't run the frozen file at another size; the dynamic export holds the same weights.
  expect_openvino_agrees(test_data(kStaticExport), test_data(kDynamicExport), {640, 384}, "000000000785.jpg");
}

TEST(GraphParity, DynamicExportRunsInPortrait) {
  GANTRY_NEEDS_DATA("coco_val/images");
  expect_openvino_agrees(test_data(kDynamicExport), test_data(kDynamicExport), {224, 320}, "000000000872.jpg");
}

void expect_interpreter_agrees(const char* file, engine::InputShape shape) {
  const Model model = Model::load(test_data(file).string());
  Tensor image = Tensor::zeros({1, 3, shape.height, shape.width}, true);
  image.floats() = network_input(test_data("coco_val/images/000000000285.jpg"), shape);
  const std::vector<Tensor> output = Interpreter(model.graph()).run(image);
  OpenVino openvino(test_data(file), shape, {});
  openvino.run(image.floats());
  const ov::Tensor expected = openvino.output(0);
  ASSERT_EQ(output.front().floats().size(), expected.get_size());
  const auto anchors = static_cast<std::size_t>(output.front().dims[2]);
  for (std::size_t i = 0; i < expected.get_size(); ++i) {
    const float tolerance = i / anchors < 4 ? 0.05F : kTolerance;  // boxes are in pixels
    ASSERT_NEAR(output.front().floats()[i], expected.data<float>()[i], tolerance) << file << " element " << i;
  }
}

TEST(GraphParity, InterpreterRunsAStaticExportToItsLastNode) {
  GANTRY_NEEDS_DATA("coco_val/images");
  expect_interpreter_agrees(kStaticExport, {640, 640});
}

TEST(GraphParity, InterpreterRunsADynamicExportToItsLastNode) {
  GANTRY_NEEDS_DATA("coco_val/images");
  expect_interpreter_agrees(kDynamicExport, {320, 192});
}

/// Letterbox, plan, decode and NMS end to end.
TEST(GraphParity, SameBoxesAsUltralytics) {
  GANTRY_NEEDS_DATA("reference/yolo11n_fp32_640x640_coco_val.jsonl");
  const auto reference = test::read_predictions(test_data("reference/yolo11n_fp32_640x640_coco_val.jsonl"));
  const Model model = Model::load(test_data(kModel).string());
  const engine::InputShape shape{640, 640};
  CpuExecutor executor(make_plan(model, shape));
  test::Agreement total;
  constexpr int kPictures = 6;
  int pictures = 0;
  for (const auto& [key, expected] : reference) {
    if (++pictures > kPictures) break;
    vision::LetterboxGeometry geometry;
    executor.run(network_input(test_data("coco_val/images") / (key.first + ".jpg"), shape, &geometry), 1);
    Detections found = executor.detections(0, {}, {});
    for (Detection& detection : found) detection.box = vision::to_source(geometry, detection.box);
    total += test::compare(expected, found, {0.98F, 0.01F});
  }
  EXPECT_GE(total.rate(), 0.99) << total.matched << " pairs of " << total.expected << " and " << total.found;
  EXPECT_GT(total.expected, 10U);
}

TEST(GraphParity, BatchOfRealPicturesIsBitEqualToSingles) {
  GANTRY_NEEDS_DATA("coco_val/images");
  const Model model = Model::load(test_data(kModel).string());
  const engine::InputShape shape{320, 192};
  CpuExecutor executor(make_plan(model, shape));
  std::vector<std::vector<float>> singles;
  std::vector<float> batch;
  for (const char* name : {"000000000139.jpg", "000000000285.jpg", "000000000632.jpg"}) {
    const auto input = network_input(test_data("coco_val/images") / name, shape);
    batch.insert(batch.end(), input.begin(), input.end());
    executor.run(input, 1);
    auto& kept = singles.emplace_back();
    for (const ConstMap& map : executor.head_maps(0))
      for (int p = 0; p < map.height * map.width; ++p)
        kept.insert(kept.end(), map.data + p * map.pitch, map.data + p * map.pitch + map.channels);
  }
  executor.run(batch, 3);
  for (int image = 0; image < 3; ++image) {
    auto expected = singles[static_cast<std::size_t>(image)].begin();
    for (const ConstMap& map : executor.head_maps(image))
      for (int p = 0; p < map.height * map.width; ++p)
        for (int c = 0; c < map.channels; ++c) ASSERT_EQ(map.data[p * map.pitch + c], *expected++);
  }
}

}  // namespace
}  // namespace gantry::graph
