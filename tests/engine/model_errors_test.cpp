// Models that can't be run, each with the exact message.
#include <gtest/gtest.h>

#include <filesystem>
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include "engine/metadata.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/factory.hpp"
#include "support/temporary_folder.hpp"
#include "support/test_data.hpp"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;
namespace op = ov::opset8;
using test::test_data;

constexpr const char* kHowToExport =
    ". Export a detection model with: yolo export model=yolo11n.pt format=onnx dynamic=True";

std::string error_of(const std::string& path, InputShape input = {}) {
  try {
    ModelOptions options;
    options.path = path;
    options.device = Device::kCpu;
    options.input = input;
    static_cast<void>(make_backend(options));
    return "no error";
  } catch (const ModelError& error) {
    return error.what();
  }
}

class ModelErrors : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const { return own_.write(name, text); }
  /// An IR of one input and an output of `shape`, made of a constant.
  std::string write_ir(const std::string& name, const ov::Shape& input, const std::vector<ov::Shape>& outputs) const {
    auto parameter = std::make_shared<op::Parameter>(ov::element::f32, input);
    parameter->output(0).set_names({"images"});
    const auto zero = op::Constant::create(ov::element::f32, {}, {0});
    const auto axes = op::Constant::create(ov::element::i64, {input.size()}, [&] {
      std::vector<std::int64_t> all(input.size());
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
      return all;
    }());
    const auto sum = std::make_shared<op::Multiply>(std::make_shared<op::ReduceSum>(parameter, axes, false), zero);
    ov::ResultVector results;
    for (const ov::Shape& shape : outputs) {
      const auto target = op::Constant::create(ov::element::i64, {shape.size()}, shape);
      const auto output = std::make_shared<op::Broadcast>(sum, target);
      output->output(0).set_names({"output" + std::to_string(results.size())});
      results.push_back(std::make_shared<op::Result>(output));
    }
    const std::string path = (folder_ / name).string();
    ov::serialize(std::make_shared<ov::Model>(results, ov::ParameterVector{parameter}), path);
    return path;
  }

  test::TemporaryFolder own_;
  const fs::path& folder_ = own_.path();
};

TEST_F(ModelErrors, MissingFile) {
  const std::string path = (folder_ / "nothing.onnx").string();
  EXPECT_EQ(error_of(path), path + ": no such model file or folder");
}

TEST_F(ModelErrors, PyTorchCheckpointNamesTheExport) {
  const std::string path = write("best.pt", "x");
  EXPECT_EQ(error_of(path), path + " is a PyTorch checkpoint. Gantry runs ONNX; make one with: yolo export model=" +
                                path + " format=onnx dynamic=True");
}

TEST_F(ModelErrors, AnotherKindOfFile) {
  const std::string path = write("model.txt", "x");
  EXPECT_EQ(error_of(path), path + ": expected an .onnx file, an OpenVINO .xml or its folder");
}

TEST_F(ModelErrors, FolderWithoutModel) {
  EXPECT_EQ(error_of(folder_.string()), folder_.string() + ": expected one OpenVINO .xml in this folder, found 0");
}

TEST_F(ModelErrors, IrWithoutItsWeights) {
  const std::string path = write_ir("net.xml", {1, 3, 64, 64}, {{1, 7, 84}});
  fs::remove(folder_ / "net.bin");
  EXPECT_EQ(error_of(path), path + ": its weights are missing; put net.bin beside it");
}

TEST_F(ModelErrors, GarbageAndTruncatedFilesAreNamed) {
  const std::string start =
      " can't be read as a model; it may be truncated or of another kind. Copy or export it again. (";
  const std::string garbage = write("garbage.onnx", "this is no protobuf");
  EXPECT_EQ(error_of(garbage).rfind(garbage + start, 0), 0) << error_of(garbage);
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  const std::string bytes = test::read_text(test_data("weights/yolo11n.onnx"));
  const std::string half = write("half.onnx", bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(error_of(half).rfind(half + start, 0), 0) << error_of(half);
}

TEST_F(ModelErrors, ClassifierSaysWhichOutputWasExpectedAndFound) {
  const std::string path = write_ir("classifier.xml", {1, 3, 64, 64}, {{1, 1000}});
  EXPECT_EQ(error_of(path), path +
                                " is no YOLO detector that Gantry can run: expected one output [batch, 4 + classes, "
                                "anchors], found output0 [1,1000]" +
                                kHowToExport);
}

TEST_F(ModelErrors, TwoOutputsAreNotADetector) {
  const std::string path = write_ir("segmenter.xml", {1, 3, 64, 64}, {{1, 116, 84}, {1, 32, 16, 16}});
  EXPECT_EQ(error_of(path), path +
                                " is no YOLO detector that Gantry can run: expected one output [batch, 4 + classes, "
                                "anchors], found output0 [1,116,84], output1 [1,32,16,16]" +
                                kHowToExport);
}

TEST_F(ModelErrors, NmsInsideTheModelIsNamed) {
  const std::string path = write_ir("end2end.xml", {1, 3, 64, 64}, {{1, 300, 6}});
  EXPECT_EQ(error_of(path), path +
                                " is no YOLO detector that Gantry can run: expected one output [batch, 4 + classes, "
                                "anchors], found output0 [1,300,6], whose NMS is inside the model" +
                                kHowToExport);
}

TEST_F(ModelErrors, GreyInputIsNotAPicture) {
  const std::string path = write_ir("grey.xml", {1, 1, 64, 64}, {{1, 7, 84}});
  EXPECT_EQ(error_of(path), path +
                                " is no YOLO detector that Gantry can run: expected a float32 input [batch, 3, height, "
                                "width], found images [1,1,64,64]" +
                                kHowToExport);
}

TEST_F(ModelErrors, MetadataOfAnotherTaskOrClassCount) {
  const std::string path = write_ir("net.xml", {1, 3, 64, 64}, {{1, 7, 84}});
  write("metadata.yaml", "task: pose\n");
  EXPECT_EQ(error_of(path),
            path + " is no YOLO detector that Gantry can run: expected the task 'detect', found the task 'pose'" +
                kHowToExport);
  write("metadata.yaml", "task: detect\nnames:\n  0: car\n  1: bus\n");
  EXPECT_EQ(error_of(path),
            path +
                " is no YOLO detector that Gantry can run: expected 4 + 2 rows, as its class names say, "
                "found output0 [1,7,84]" +
                kHowToExport);
  write("metadata.yaml", "names: [");
  EXPECT_NE(error_of(path).find("its metadata `metadata.yaml` can't be read"), std::string::npos) << error_of(path);
}

TEST_F(ModelErrors, SizesThatDoNotFit) {
  const std::string path = write_ir("net.xml", {1, 3, 64, 64}, {{1, 7, 84}});
  EXPECT_EQ(error_of(path, {96, 64}),
            path + " was exported for 64x64 and can't run at another size; export it with dynamic=True");
  EXPECT_EQ(error_of(path, {100, 64}),
            "an input of 100x64 does not fit " + path + ": both sides must be multiples of 32");
  EXPECT_EQ(error_of(path), "no error");
}

TEST(Metadata, PythonLiteralsAreUnderstood) {
  const auto metadata = parse_metadata({{"names", R"({0: 'person', 2: "driver's seat", 1: 'a: b'})"},
                                        {"imgsz", "[384, 640]"},
                                        {"stride", "32"},
                                        {"task", "detect"},
                                        {"description", "Ultralytics {weird: [text"}},
                                       "m.onnx");
  EXPECT_EQ(metadata.class_names, (std::vector<std::string>{"person", "a: b", "driver's seat"}));
  EXPECT_EQ(metadata.image_size, (InputShape{640, 384}));
  EXPECT_EQ(metadata.stride, 32);
  EXPECT_EQ(metadata.description, "Ultralytics {weird: [text");
  EXPECT_THROW(static_cast<void>(parse_metadata({{"names", "{0: "}}, "m.onnx")), ModelError);
  EXPECT_THROW(static_cast<void>(parse_metadata({{"names", "{4000000000: x}"}}, "m.onnx")), ModelError);
}

}  // namespace
}  // namespace gantry::engine
