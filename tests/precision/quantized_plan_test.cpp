// A quantised file in the graph room: imported, fused, planned, and run in whole numbers on the CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/check.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "gantry/precision/quantize.hpp"
#include "graph/onnx_builder.hpp"
#include "precision/plan_agreement.hpp"

namespace gantry::precision {
namespace {

using graph::ConvOp;
using graph::Model;
using graph::Plan;

class QuantizedPlan : public testing::Test {
 protected:
  /// mini_yolo with all but `floats` convolutions in 8 bits.
  static std::string quantised(std::size_t floats = 0, bool symmetric = false) {
    const std::string bytes = test::mini_yolo({}).bytes();
    const Model model = Model::parse(bytes, "mini.onnx");
    Samples samples;
    samples.shape = model.info().native_shape;
    std::mt19937 random(9);
    for (int i = 0; i < 24; ++i) {
      Sample sample{"noise", std::vector<std::uint8_t>(3 * 64 * 64)};
      for (auto& byte : sample.planes) byte = static_cast<std::uint8_t>(random());
      samples.pictures.push_back(std::move(sample));
    }
    std::size_t most = 0;
    const Gate gate = [&](const std::string& onnx) {
      const std::size_t in_8_bits = convolutions(plan_of(Model::parse(onnx, "candidate.onnx")), true);
      most = std::max(most, in_8_bits);
      return Measured{most - in_8_bits >= floats ? 1.0 : 0.5, 1, 1};
    };
    QuantizeOptions options;
    options.symmetric = symmetric;
    return quantize(model, bytes, samples, options, gate).onnx;
  }
  static Plan plan_of(const Model& model) {
    graph::PlanOptions options;
    options.quantized = true;
    return make_plan(model, model.info().native_shape, options);
  }
  static std::size_t convolutions(const Plan& plan, bool in_8_bits) {
    return static_cast<std::size_t>(std::count_if(plan.ops.begin(), plan.ops.end(), [&](const graph::Op& op) {
      const auto* conv = op.as<ConvOp>();
      return conv != nullptr && conv->input.has_value() == in_8_bits;
    }));
  }
  static graph::Tensor picture() { return {{1, 3, 64, 64}, graph::drawn_images({64, 64}, 1)}; }
  static std::string refusal(const std::string& bytes) {
    try {
      static_cast<void>(plan_of(Model::parse(bytes, "strange.onnx")));
    } catch (const ModelError& error) {
      return error.what();
    }
    return "accepted";
  }
};

TEST_F(QuantizedPlan, TheFoldedGraphComputesWhatTheFileSays) {
  for (const bool symmetric : {false, true}) {
    const std::string bytes = quantised(2, symmetric);
    const graph::Graph file = graph::parse_onnx(bytes, "mini-int8.onnx");
    const Model model = Model::parse(bytes, "mini-int8.onnx");
    EXPECT_TRUE(model.quantized());
    EXPECT_EQ(model.info().precision, "int8");
    for (const graph::Node& node : model.graph().nodes)
      EXPECT_EQ(node.op.find("Linear"), std::string::npos) << node.name;
    const auto expected = graph::Interpreter(file).run(picture());
    const auto found = graph::Interpreter(model.graph()).run(picture());
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].floats(), expected[i].floats());
  }
}

TEST_F(QuantizedPlan, WeightsKeepTheirBytesAndAScaleAChannel) {
  const Plan plan = plan_of(Model::parse(quantised(), "mini-int8.onnx"));
  for (const graph::Op& op : plan.ops) {
    const auto* conv = op.as<ConvOp>();
    if (conv == nullptr) continue;
    const graph::Weights& weights = *conv->weights;
    ASSERT_TRUE(conv->input) << op.name;
    ASSERT_EQ(weights.scales.size(), static_cast<std::size_t>(weights.out)) << op.name;
    ASSERT_EQ(weights.steps.size(), weights.values.size()) << op.name;
    const std::size_t row = weights.values.size() / weights.scales.size();
    for (std::size_t i = 0; i < weights.values.size(); ++i)
      ASSERT_EQ(weights.values[i], static_cast<float>(weights.steps[i]) * weights.scales[i / row]) << op.name;
  }
}

TEST_F(QuantizedPlan, WhatConvolutionsReadIsKeptInBytes) {
  const Plan plan = plan_of(Model::parse(quantised(), "mini-int8.onnx"));
  EXPECT_EQ(convolutions(plan, false), 0U);
  for (const graph::Op& op : plan.ops) {
    const auto* conv = op.as<ConvOp>();
    if (conv == nullptr) continue;
    for (const graph::View& view : op.inputs) {
      const graph::Buffer& buffer = plan.buffers[static_cast<std::size_t>(view.buffer)];
      EXPECT_TRUE(buffer.external || buffer.type == graph::DataType::kInt8) << op.name << " reads " << buffer.name;
      EXPECT_EQ(buffer.quantizer, conv->input) << "no rescaling on the way into " << op.name;
    }
  }
  const Model in_float = Model::parse(test::mini_yolo({}).bytes(), "mini.onnx");
  const Plan halves = make_plan(in_float, in_float.info().native_shape);
  EXPECT_LT(plan.sum_of_buffers(), 0.75 * static_cast<double>(halves.sum_of_buffers()));
}

TEST_F(QuantizedPlan, RunsWithinAStepOfTheFile) {
  for (const std::size_t floats : {std::size_t{0}, std::size_t{3}, std::size_t{9}})
    for (const bool symmetric : {false, true}) {
      const std::string bytes = quantised(floats, symmetric);
      TensorsByName expected = run_graph(graph::parse_onnx(bytes, "mini-int8.onnx"), picture());
      for (auto& [name, value] : expected)  // readers see the rounded form
        if (const auto restored = expected.find(name + "/dequantized"); restored != expected.end())
          value = restored->second;
      const Plan plan = plan_of(Model::parse(bytes, "mini-int8.onnx"));
      EXPECT_EQ(convolutions(plan, false), floats);
      const Agreement agreement = compare_plan(plan, picture(), expected);
      EXPECT_GT(agreement.share(agreement.rounded), 0.5);
      EXPECT_GE(agreement.share(agreement.within_a_step), 0.999) << floats << " in float, symmetric " << symmetric;
      EXPECT_GE(agreement.share(agreement.equal), 0.99) << floats << " in float, symmetric " << symmetric;
    }
}

TEST_F(QuantizedPlan, CheckCountsResultsBeyondAStep) {
  const Model model = Model::parse(quantised(), "mini-int8.onnx");
  Plan plan = plan_of(model);
  const auto images = graph::drawn_images({64, 64}, 2);
  const graph::LayerCheck check(model, plan, images, 2);
  const auto count = [&] {
    std::size_t rounded = 0;
    std::size_t beyond = 0;
    for (const auto& error : graph::check_on_cpu(check, plan, images, 2, graph::CheckMode::kCumulative)) {
      rounded += error.rounded;
      beyond += error.beyond_a_step;
    }
    return std::pair(rounded, beyond);
  };
  const auto [rounded, beyond] = count();
  EXPECT_GT(rounded, 2 * 64U * 64U * 8U / 4U) << "the first map alone, of both pictures";
  EXPECT_LE(beyond, rounded / 1000);
  auto& conv = std::get<ConvOp>(plan.ops[0].params);
  auto weights = std::make_shared<graph::Weights>(*conv.weights);
  for (float& bias : weights->bias) bias += 1;
  conv.weights = weights;
  EXPECT_GT(count().second, rounded / 10);
}

TEST_F(QuantizedPlan, AWrongStepIsNoticed) {
  const std::string bytes = quantised();
  const Model model = Model::parse(bytes, "mini-int8.onnx");
  Plan plan = plan_of(model);
  auto& conv = std::get<ConvOp>(plan.ops[2].params);
  auto weights = std::make_shared<graph::Weights>(*conv.weights);
  for (auto& step : weights->steps) step = static_cast<std::int8_t>(step / 2);
  conv.weights = weights;
  const Agreement agreement = compare_plan(plan, picture(), run_graph(model.raw_graph({64, 64}), picture()));
  EXPECT_LT(agreement.share(agreement.within_a_step), 0.9);
}

TEST_F(QuantizedPlan, IsRefusedByWhoDoesNotAskForIt) {
  const Model model = Model::parse(quantised(), "mini-int8.onnx");
  EXPECT_THROW(static_cast<void>(make_plan(model, model.info().native_shape)), ModelError);
}

TEST_F(QuantizedPlan, ATensorInTwoFormsIsRefused) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(quantised()));
  // Somebody reads the tensor before it is rounded.
  const auto& nodes = model.graph().node();
  const auto rounds =
      std::find_if(nodes.begin(), nodes.end(), [](const auto& node) { return node.op_type() == "QuantizeLinear"; });
  const std::string tensor = rounds->input(0);
  auto& extra = *model.mutable_graph()->add_node();
  extra.set_op_type("Sigmoid");
  extra.set_name("extra");
  extra.add_input(tensor);
  extra.add_output("extra");
  EXPECT_THAT(refusal(model.SerializeAsString()), testing::HasSubstr("rounds '" + tensor + "'"));
}

TEST_F(QuantizedPlan, RoundingInsideAFusedOpIsRefused) {
  // Between a convolution and its SiLU, where the fused op holds nothing that could be rounded.
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(quantised()));
  auto& graph = *model.mutable_graph();
  const auto conv =
      std::find_if(graph.node().begin(), graph.node().end(), [](const auto& node) { return node.op_type() == "Conv"; });
  const auto at = conv - graph.node().begin();
  const std::string tensor = conv->output(0);
  const auto quantize = std::find_if(graph.node().begin(), graph.node().end(),
                                     [](const auto& node) { return node.op_type() == "QuantizeLinear"; });
  const std::string scale = quantize->input(1);
  const std::string zero = quantize->input(2);
  graph.mutable_node(static_cast<int>(at))->set_output(0, "before");
  const auto add = [&](const char* op, const std::string& input, const std::string& output) {
    auto& node = *graph.add_node();
    node.set_op_type(op);
    node.set_name(std::string("strange ") + op);
    for (const std::string& name : {input, scale, zero}) node.add_input(name);
    node.add_output(output);
  };
  add("QuantizeLinear", "before", "steps");
  add("DequantizeLinear", "steps", tensor);
  EXPECT_THAT(refusal(model.SerializeAsString()), testing::HasSubstr("rounds 'before'"));
}

}  // namespace
}  // namespace gantry::precision
