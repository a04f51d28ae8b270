#include "precision/scheme.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/model.hpp"
#include "graph/onnx_builder.hpp"
#include "precision/qdq.hpp"

namespace gantry::precision {
namespace {

struct Mini {
  Mini() : bytes(test::mini_yolo({}).bytes()), model(graph::Model::parse(bytes, "mini.onnx")) {
    raw = model.raw_graph(model.info().native_shape);
    scheme = find_scheme(raw);
  }
  /// Everything in 8 bits, with ranges that stand for measured ones.
  Quantization everything(Encoding encoding) const {
    Quantization all;
    all.groups.assign(static_cast<std::size_t>(scheme.groups), make_quantizer(-0.3, 4, encoding));
    for (const Layer& layer : scheme.layers) {
      const auto node =
          std::find_if(raw.nodes.begin(), raw.nodes.end(), [&](const graph::Node& n) { return n.name == layer.node; });
      all.layers.push_back({quantize_weights(*raw.constant(node->inputs[1])), {}});
    }
    all.in_8_bits.assign(scheme.layers.size(), true);
    return all;
  }
  std::string bytes;
  graph::Model model;
  graph::Graph raw;
  Scheme scheme;
};

TEST(Scheme, EveryConvolutionIsALayerAndReadsQuantisedTensors) {
  const Mini mini;
  const auto convolutions = std::count_if(mini.raw.nodes.begin(), mini.raw.nodes.end(),
                                          [](const graph::Node& node) { return node.op == "Conv"; });
  EXPECT_EQ(mini.scheme.layers.size(), static_cast<std::size_t>(convolutions));
  for (const Layer& layer : mini.scheme.layers) EXPECT_FALSE(layer.tensors.empty()) << layer.node;
}

TEST(Scheme, QuantisesWhereValuesAreComputedAndNotWhereTheyOnlyMove) {
  const Mini mini;
  std::set<std::string> moved;
  for (const graph::Node& node : mini.raw.nodes)
    if (node.op == "Concat" || node.op == "Split" || node.op == "MaxPool" || node.op == "Resize")
      moved.insert(node.outputs.begin(), node.outputs.end());
  ASSERT_FALSE(moved.empty());
  for (const std::string& tensor : mini.scheme.tensors) EXPECT_FALSE(moved.contains(tensor)) << tensor;
}

TEST(Scheme, JoinedTensorsShareOneQuantiser) {
  const Mini mini;
  const auto group_of = [&](const std::string& tensor) {
    const auto& tensors = mini.scheme.tensors;
    const auto found = std::find(tensors.begin(), tensors.end(), tensor);
    return found == tensors.end() ? -1 : mini.scheme.group_of[static_cast<std::size_t>(found - tensors.begin())];
  };
  int joins = 0;
  for (const graph::Node& node : mini.raw.nodes) {
    if (node.op != "Concat") continue;
    std::set<int> groups;
    for (const std::string& input : node.inputs)
      if (group_of(input) >= 0) groups.insert(group_of(input));
    if (groups.empty()) continue;
    ++joins;
    EXPECT_EQ(groups.size(), 1U) << node.name;
  }
  EXPECT_GT(joins, 2);
}

TEST(Qdq, WritesAPairForEachTensorAndBytesForEachWeight) {
  const Mini mini;
  const std::string out = write_qdq(mini.bytes, "mini.onnx", mini.scheme, mini.everything(Encoding::kAffine),
                                    Storage8::kAsChosen, {{"gantry.precision", "int8"}});
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(out));
  std::size_t quantize = 0;
  std::size_t dequantize = 0;
  std::set<std::string> defined{model.graph().input(0).name()};
  for (const auto& tensor : model.graph().initializer()) defined.insert(tensor.name());
  for (const auto& node : model.graph().node()) {
    for (const auto& input : node.input())
      EXPECT_TRUE(input.empty() || defined.contains(input)) << node.name() << " reads " << input << " too early";
    defined.insert(node.output().begin(), node.output().end());
    quantize += node.op_type() == "QuantizeLinear" ? 1 : 0;
    dequantize += node.op_type() == "DequantizeLinear" ? 1 : 0;
  }
  EXPECT_EQ(quantize, mini.scheme.tensors.size());
  EXPECT_EQ(dequantize, mini.scheme.tensors.size() + mini.scheme.layers.size());
  EXPECT_LT(out.size(), mini.bytes.size());
}

TEST(Qdq, SymmetricActivationsAreSignedBytesAroundZeroOrUnsignedAround128) {
  const Mini mini;
  for (const Storage8 storage : {Storage8::kAsChosen, Storage8::kUnsigned}) {
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(
        write_qdq(mini.bytes, "mini.onnx", mini.scheme, mini.everything(Encoding::kSymmetric), storage, {})));
    const auto& all = model.graph().initializer();
    const auto zero =
        std::find_if(all.begin(), all.end(), [](const auto& tensor) { return tensor.name() == "images/zero_point"; });
    ASSERT_NE(zero, all.end());
    const bool is_signed = storage == Storage8::kAsChosen;
    EXPECT_EQ(zero->data_type(), is_signed ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8);
    EXPECT_EQ(static_cast<unsigned char>(zero->raw_data()[0]), is_signed ? 0 : 128);
  }
}

TEST(Qdq, LayersLeftInFloatKeepTheirWeights) {
  const Mini mini;
  Quantization none = mini.everything(Encoding::kAffine);
  none.in_8_bits.assign(none.in_8_bits.size(), false);
  onnx::ModelProto before;
  onnx::ModelProto after;
  ASSERT_TRUE(before.ParseFromString(mini.bytes));
  ASSERT_TRUE(after.ParseFromString(write_qdq(mini.bytes, "mini.onnx", mini.scheme, none, Storage8::kAsChosen, {})));
  EXPECT_EQ(before.graph().node_size(), after.graph().node_size());
}

TEST(Qdq, RefusesAFileThatIsQuantisedAlready) {
  const Mini mini;
  const std::string once =
      write_qdq(mini.bytes, "mini.onnx", mini.scheme, mini.everything(Encoding::kAffine), Storage8::kAsChosen, {});
  refuse_quantized(mini.bytes, "mini.onnx");
  try {
    refuse_quantized(once, "mini-int8.onnx");
    FAIL() << "should have refused";
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("is quantised already"), std::string::npos) << error.what();
  }
}

TEST(Qdq, RefusesBatchNormsThatWereNotFolded) {
  test::MiniYolo unfolded;
  unfolded.batch_norm = true;
  const std::string bytes = test::mini_yolo(unfolded).bytes();
  try {
    static_cast<void>(write_qdq(bytes, "unfolded.onnx", {}, {}, Storage8::kAsChosen, {}));
    FAIL() << "should have refused";
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("batch norms"), std::string::npos) << error.what();
  }
}

TEST(Qdq, RefusesAnOpsetWithoutScalesAChannel) {
  test::MiniYolo old;
  old.opset = 12;
  const std::string bytes = test::mini_yolo(old).bytes();
  const graph::Model model = graph::Model::parse(bytes, "old.onnx");
  const graph::Graph raw = model.raw_graph(model.info().native_shape);
  const Scheme scheme = find_scheme(raw);
  Quantization none;
  none.groups.assign(static_cast<std::size_t>(scheme.groups), {});
  none.in_8_bits.assign(scheme.layers.size(), false);
  EXPECT_THROW(static_cast<void>(write_qdq(bytes, "old.onnx", scheme, none, Storage8::kAsChosen, {})), ModelError);
}

}  // namespace
}  // namespace gantry::precision
