// Reading ONNX files: what is refused, with which words, and what is understood.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::graph {
namespace {

using test::mini_yolo;
using test::MiniYolo;
using test::OnnxBuilder;
using testing::HasSubstr;

/// The message with which a file is refused; empty where it is not.
std::string refusal(const std::string& bytes, const std::string& source = "some/model.onnx") {
  try {
    (void)make_plan(Model::parse(bytes, source), {64, 64});
  } catch (const ModelError& error) {
    return error.what();
  }
  return {};
}
std::string refusal(OnnxBuilder builder, const std::function<void(onnx::ModelProto&)>& change) {
  change(builder.proto());
  return refusal(builder.bytes());
}
onnx::NodeProto& first(onnx::ModelProto& model, const std::string& op) {
  for (auto& node : *model.mutable_graph()->mutable_node())
    if (node.op_type() == op) return node;
  throw std::logic_error("no " + op);
}

TEST(Import, ReadsWhatTheMetadataSays) {
  const Model model = Model::parse(mini_yolo({.classes = 3, .height_px = 48, .width_px = 96}).bytes(), "mini.onnx");
  EXPECT_EQ(model.info().class_names, (std::vector<std::string>{"kind 0", "kind 1", "kind 2"}));
  EXPECT_EQ(model.info().stride, 16);
  EXPECT_EQ(model.info().native_shape, (engine::InputShape{96, 48}));
  EXPECT_TRUE(model.info().any_shape);
  EXPECT_EQ(model.head().classes, 3);
  EXPECT_EQ(model.head().bins, 16);
  ASSERT_EQ(model.head().levels.size(), 2U);
  EXPECT_EQ(model.head().levels[0].stride, 8);
  EXPECT_EQ(model.head().levels[1].stride, 16);
  EXPECT_EQ(model.hash().size(), 16U);
}

TEST(Import, HashFollowsTheBytes) {
  const std::string bytes = mini_yolo({}).bytes();
  EXPECT_EQ(Model::parse(bytes, "a").hash(), Model::parse(bytes, "b").hash());
  EXPECT_NE(Model::parse(bytes, "a").hash(), Model::parse(mini_yolo({.classes = 6}).bytes(), "a").hash());
}

TEST(Import, ClassNamesAreNumberedWhereTheFileHasNone) {
  auto builder = mini_yolo({.classes = 2});
  builder.proto().clear_metadata_props();
  const Model model = Model::parse(builder.bytes(), "mini.onnx");
  EXPECT_EQ(model.info().class_names, (std::vector<std::string>{"class0", "class1"}));
  EXPECT_EQ(model.info().stride, 32);
}

TEST(Import, QuotesInClassNames) {
  auto builder = mini_yolo({.classes = 2});
  builder.proto().clear_metadata_props();
  builder.metadata("names", R"({1: "rider's bike", 0: 'a \'b\' {c}: d'})");
  EXPECT_EQ(Model::parse(builder.bytes(), "m").info().class_names,
            (std::vector<std::string>{"a 'b' {c}: d", "rider's bike"}));
}

TEST(Import, RefusesPyTorchFilesWithTheLineThatExportsThem) {
  EXPECT_THAT(refusal("PK\003\004rest", "yolo11n.pt"), HasSubstr("yolo export model=yolo11n.pt format=onnx"));
  EXPECT_THAT(refusal("PK\003\004rest", "renamed.onnx"), HasSubstr("yolo export model=renamed.onnx format=onnx"));
}

TEST(Import, RefusesWhatIsNoFile) {
  EXPECT_THROW((void)Model::load("/nowhere/model.onnx"), ModelError);
  EXPECT_THROW((void)Model::load("/"), ModelError);
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("hello, this is text"), HasSubstr("some/model.onnx: not a complete ONNX file (19 bytes"));
}

TEST(Import, RefusesEveryTruncation) {
  const std::string bytes = mini_yolo({}).bytes();
  constexpr std::size_t kCuts = 200;
  for (std::size_t i = 0; i < kCuts; ++i) {
    const std::size_t length = bytes.size() * i / kCuts;
    EXPECT_THAT(refusal(bytes.substr(0, length)), HasSubstr("some/model.onnx")) << length << " of " << bytes.size();
  }
}

/// Whatever the bytes, the answer is a model or a ModelError.
TEST(Import, SurvivesDamage) {
  const std::string bytes = mini_yolo({}).bytes();
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    EXPECT_NO_THROW(refused += refusal(damaged).empty() ? 0 : 1) << "round " << round;
  }
  EXPECT_GT(refused, 10);
}
/// The same where it hurts most: in sizes and attributes, not in weights.
TEST(Import, SurvivesDamagedStructure) {
  MiniYolo wanted;
  wanted.width = 2;
  auto builder = mini_yolo(wanted);
  std::mt19937 random(2);
  const auto number = [&]() -> std::int64_t {
    constexpr std::int64_t kValues[] = {-1, 0, 1, 2, 3, 7, 64, 1'000'000, -5, std::int64_t{1} << 40};
    return kValues[random() % std::size(kValues)];
  };
  for (int round = 0; round < 400; ++round) {
    onnx::ModelProto damaged = builder.proto();
    auto& graph = *damaged.mutable_graph();
    auto& node = *graph.mutable_node(static_cast<int>(random() % static_cast<unsigned>(graph.node_size())));
    auto& tensor =
        *graph.mutable_initializer(static_cast<int>(random() % static_cast<unsigned>(graph.initializer_size())));
    switch (random() % 5) {
      case 0:
        if (node.attribute_size() > 0) {
          auto& a = *node.mutable_attribute(static_cast<int>(random() % static_cast<unsigned>(node.attribute_size())));
          a.set_i(number());
          if (a.ints_size() > 0)
            a.set_ints(static_cast<int>(random() % static_cast<unsigned>(a.ints_size())), number());
        }
        break;
      case 1:
        if (tensor.int64_data_size() > 0)
          tensor.set_int64_data(static_cast<int>(random() % static_cast<unsigned>(tensor.int64_data_size())), number());
        break;
      case 2:
        if (tensor.dims_size() > 0) tensor.set_dims(0, number());
        break;
      case 3:
        node.set_input(0, graph.node(static_cast<int>(random() % static_cast<unsigned>(graph.node_size()))).output(0));
        break;
      default:
        node.clear_attribute();
    }
    EXPECT_NO_THROW((void)refusal(damaged.SerializeAsString())) << "round " << round;
  }
}

TEST(Import, NamesAnUnsupportedOperatorItsNodeAndTheSupportedOnes) {
  const std::string message = refusal(mini_yolo({}), [](onnx::ModelProto& m) {
    auto& node = first(m, "Sigmoid");
    node.set_op_type("HardSigmoid");
    node.set_name("/model.0/act/HardSigmoid");
  });
  EXPECT_THAT(message, HasSubstr("operator HardSigmoid (node '/model.0/act/HardSigmoid') is not supported"));
  for (const char* op : {"Conv", "Concat", "Resize", "Softmax"}) EXPECT_THAT(message, HasSubstr(op));
}
TEST(Import, NamesOperatorsOfOtherDomains) {
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { first(m, "Sigmoid").set_domain("com.microsoft"); }),
              HasSubstr("com.microsoft.Sigmoid"));
}
TEST(Import, SaysHowToExportWithoutNms) {
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { first(m, "Sigmoid").set_op_type("NonMaxSuppression"); }),
              HasSubstr("nms=False"));
  auto end_to_end = mini_yolo({});
  end_to_end.metadata("end2end", "True");
  EXPECT_THAT(refusal(end_to_end.bytes()), HasSubstr("end2end=False"));
}
TEST(Import, RefusesOtherTasks) {
  auto builder = mini_yolo({});
  builder.proto().clear_metadata_props();
  builder.metadata("task", "segment");
  EXPECT_THAT(refusal(builder.bytes()), HasSubstr("'segment'"));
}
TEST(Import, RefusesOtherOpsets) {
  for (const int opset : {7, 11, 21})
    EXPECT_THAT(refusal(mini_yolo({}), [&](auto& m) { m.mutable_opset_import(0)->set_version(opset); }),
                HasSubstr("opset " + std::to_string(opset)));
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { m.clear_opset_import(); }), HasSubstr("operator set"));
}
TEST(Import, RefusesHalfPrecisionInput) {
  EXPECT_THAT(refusal(mini_yolo({}),
                      [](auto& m) {
                        m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
                            onnx::TensorProto::FLOAT16);
                      }),
              HasSubstr("isn't float32"));
}
TEST(Import, RefusesPicturesOfOtherChannels) {
  EXPECT_THAT(refusal(mini_yolo({}),
                      [](auto& m) {
                        m.mutable_graph()
                            ->mutable_input(0)
                            ->mutable_type()
                            ->mutable_tensor_type()
                            ->mutable_shape()
                            ->mutable_dim(1)
                            ->set_dim_value(1);
                      }),
              HasSubstr("three channels"));
}
TEST(Import, RefusesASecondInput) {
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { m.mutable_graph()->add_input()->set_name("mask"); }),
              HasSubstr("more than one input"));
}
TEST(Import, RefusesDanglingAndDoubleTensors) {
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { first(m, "Sigmoid").set_input(0, "ghost"); }), HasSubstr("'ghost'"));
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { first(m, "Sigmoid").set_output(0, first(m, "Conv").output(0)); }),
              HasSubstr("defined twice"));
  EXPECT_THAT(refusal(mini_yolo({}), [](auto& m) { m.mutable_graph()->mutable_output(0)->set_name("ghost"); }),
              HasSubstr("output 'ghost'"));
}
TEST(Import, RefusesWeightsOfTheWrongSize) {
  EXPECT_THAT(refusal(mini_yolo({}),
                      [](auto& m) {
                        auto& weights = *m.mutable_graph()->mutable_initializer(0);
                        weights.set_raw_data(weights.raw_data().substr(4));
                      }),
              HasSubstr("the file is damaged"));
  EXPECT_THAT(refusal(mini_yolo({}),
                      [](auto& m) {
                        m.mutable_graph()->mutable_initializer(0)->set_data_location(onnx::TensorProto::EXTERNAL);
                      }),
              HasSubstr("another file"));
}
TEST(Import, RefusesAGraphWithoutADetectionHead) {
  OnnxBuilder builder;
  builder.output(builder.node("Sigmoid", {builder.input()}));
  EXPECT_THAT(refusal(builder.bytes()), HasSubstr("no detection head"));
}
TEST(Import, RefusesNamesThatDontFitTheHead) {
  auto builder = mini_yolo({.classes = 3});
  builder.proto().clear_metadata_props();
  builder.metadata("names", "{0: 'car'}");
  EXPECT_THAT(refusal(builder.bytes()), HasSubstr("names 1 classes in its metadata and has 3"));
}
TEST(Import, RefusesADilatedOrGroupedConvolutionByName) {
  const auto change = [](const char* key, std::int64_t value) {
    return refusal(mini_yolo({}), [&](auto& m) {
      for (auto& attribute : *first(m, "Conv").mutable_attribute()) {
        if (attribute.name() != key) continue;
        for (auto& v : *attribute.mutable_ints()) v = value;
      }
      if (std::string(key) == "dilations")
        for (auto& attribute : *first(m, "Conv").mutable_attribute())
          if (attribute.name() == "pads")
            for (auto& v : *attribute.mutable_ints()) v = 2;
    });
  };
  EXPECT_THAT(change("dilations", 2), HasSubstr("/model.0/Conv_"));
}
TEST(Import, RefusesSidesThatAreNoMultiplesOfTheStride) {
  const Model model = Model::parse(mini_yolo({}).bytes(), "mini.onnx");
  for (const engine::InputShape shape : {engine::InputShape{64, 40}, {0, 64}, {-16, 64}, {70, 64}})
    EXPECT_THROW((void)make_plan(model, shape), ModelError);
}

TEST(Import, SortsNodesAndNamesNamelessOnes) {
  auto builder = mini_yolo({});
  const auto expected = Model::parse(builder.bytes(), "m");
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  for (int i = 0; i < nodes->size() / 2; ++i) nodes->SwapElements(i, nodes->size() - 1 - i);
  for (auto& node : *nodes) node.clear_name();
  const Model model = Model::parse(builder.bytes(), "m");
  EXPECT_EQ(make_plan(model, {64, 64}).ops.size(), make_plan(expected, {64, 64}).ops.size());
}

TEST(Import, ReadsWeightsOfOtherFloatTypes) {
  // The same values as float, double and half; small enough to be exact in half.
  const std::vector<float> values{0.5F, -2.0F, 0.0F, 6.1035156e-05F, 5.9604645e-08F, -65504.0F};
  const std::vector<std::uint16_t> halves{0x3800, 0xC000, 0x0000, 0x0400, 0x0001, 0xFBFF};
  const std::vector<double> doubles(values.begin(), values.end());
  for (const int type : {onnx::TensorProto::FLOAT, onnx::TensorProto::FLOAT16, onnx::TensorProto::DOUBLE}) {
    OnnxBuilder builder(18, {1, 6});
    const std::string weights = builder.floats({1, 6}, values);
    auto& tensor = *builder.proto().mutable_graph()->mutable_initializer(0);
    tensor.set_data_type(type);
    if (type == onnx::TensorProto::FLOAT16) tensor.set_raw_data(halves.data(), halves.size() * 2);
    if (type == onnx::TensorProto::DOUBLE) tensor.set_raw_data(doubles.data(), doubles.size() * 8);
    builder.output(builder.node("Add", {builder.input(), weights}));
    const auto out = Interpreter(parse_onnx(builder.bytes(), "m")).run(Tensor::zeros({1, 6}, true));
    EXPECT_EQ(out.front().floats(), values) << "type " << type;
  }
}

}  // namespace
}  // namespace gantry::graph
