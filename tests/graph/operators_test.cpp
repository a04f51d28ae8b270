// Single ONNX operators as the interpreter computes them, where their rules are easy to get wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/interpreter.hpp"
#include "gantry/engine/graph/passes.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::graph {
namespace {

using test::OnnxBuilder;

Tensor counting(const Dims& dims) {
  Tensor tensor = Tensor::zeros(dims, true);
  for (std::size_t i = 0; i < tensor.floats().size(); ++i) tensor.floats()[i] = static_cast<float>(i);
  return tensor;
}

/// Runs one node on 0, 1, 2, … and returns its outputs. `more` adds its other inputs.
std::vector<Tensor> run(int opset, const Dims& dims, const std::string& op,
                        const std::function<std::vector<std::string>(OnnxBuilder&)>& more = {},
                        const OnnxBuilder::Attributes& attributes = {}, std::size_t outputs = 1) {
  OnnxBuilder builder(opset, dims);
  std::vector<std::string> inputs{builder.input()};
  if (more)
    for (auto& name : more(builder)) inputs.push_back(name);
  for (const auto& name : builder.nodes(op, inputs, outputs, attributes)) builder.output(name);
  return Interpreter(parse_onnx(builder.bytes(), "test")).run(counting(dims));
}
auto ints(std::vector<OnnxBuilder::Ints> lists) {
  return [lists = std::move(lists)](OnnxBuilder& b) {
    std::vector<std::string> names;
    for (const auto& list : lists) names.push_back(b.ints(list));
    return names;
  };
}

TEST(Operators, ReshapeCopiesZerosAndFillsOneOpenDimension) {
  EXPECT_EQ(run(18, {2, 3, 4}, "Reshape", ints({{0, -1}}))[0].dims, (Dims{2, 12}));
  EXPECT_THROW(run(18, {2, 3, 4}, "Reshape", ints({{5, -1}})), ModelError);
  EXPECT_THROW(run(18, {2, 3, 4}, "Reshape", ints({{-1, -1}})), ModelError);
  EXPECT_THROW(run(18, {2, 3}, "Reshape", ints({{2, 3, 0}})), ModelError);
}

TEST(Operators, SplitTakesSizesFromInputAttributeOrCount) {
  for (const auto& parts : {run(18, {1, 5}, "Split", ints({{2, 3}}), {{"axis", {1}}}, 2),
                            run(12, {1, 5}, "Split", {}, {{"axis", {1}}, {"split", {2, 3}}}, 2)}) {
    EXPECT_EQ(parts[0].floats(), (std::vector<float>{0, 1}));
    EXPECT_EQ(parts[1].floats(), (std::vector<float>{2, 3, 4}));
  }
  EXPECT_EQ(run(18, {1, 5}, "Split", {}, {{"axis", {-1}}}, 2)[1].dims, (Dims{1, 2}));
  EXPECT_THROW(run(18, {1, 5}, "Split", ints({{2, 2}}), {{"axis", {1}}}, 2), ModelError);
}

TEST(Operators, SliceClampsAndCountsFromTheEnd) {
  const auto slice = [](OnnxBuilder::Ints start, OnnxBuilder::Ints end, OnnxBuilder::Ints step) {
    return run(18, {1, 6}, "Slice", ints({std::move(start), std::move(end), {1}, std::move(step)}))[0].floats();
  };
  EXPECT_EQ(slice({1}, {-1}, {1}), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(slice({-4}, {99}, {2}), (std::vector<float>{2, 4}));
  EXPECT_EQ(slice({5}, {2}, {1}), (std::vector<float>{}));
}

TEST(Operators, SoftmaxBeforeOpset13FlattensBehindItsAxis) {
  const auto sum_of_first = [](int opset, std::size_t count) {
    const Tensor out = run(opset, {1, 2, 2}, "Softmax", {}, {{"axis", {1}}})[0];
    float sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += out.floats()[opset < 13 ? i : 2 * i];
    return sum;
  };
  EXPECT_NEAR(sum_of_first(12, 4), 1, 1e-6);
  EXPECT_NEAR(sum_of_first(18, 2), 1, 1e-6);
}

TEST(Operators, GatherSqueezeAndTranspose) {
  EXPECT_EQ(run(18, {2, 3}, "Gather", ints({{2, -3}}), {{"axis", {1}}})[0].floats(), (std::vector<float>{2, 0, 5, 3}));
  EXPECT_THROW(run(18, {2, 3}, "Gather", ints({{3}}), {{"axis", {1}}}), ModelError);
  EXPECT_EQ(run(18, {1, 2, 1, 3}, "Squeeze", ints({{0, -2}}))[0].dims, (Dims{2, 3}));
  EXPECT_EQ(run(12, {1, 2, 1, 3}, "Squeeze", {}, {{"axes", {0}}})[0].dims, (Dims{2, 1, 3}));
  EXPECT_THROW(run(18, {1, 2}, "Squeeze", ints({{1}})), ModelError);
  EXPECT_EQ(run(18, {2, 3}, "Unsqueeze", ints({{0, 3}}))[0].dims, (Dims{1, 2, 3, 1}));
  EXPECT_EQ(run(18, {2, 3}, "Transpose")[0].floats(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run(18, {1, 3}, "Expand", ints({{2, 1, 1}}))[0].dims, (Dims{2, 1, 3}));
}

TEST(Operators, ArithmeticBroadcasts) {
  const auto row = [](OnnxBuilder& b) { return std::vector{b.floats({3}, {10, 20, 30})}; };
  EXPECT_EQ(run(18, {2, 3}, "Add", row)[0].floats(), (std::vector<float>{10, 21, 32, 13, 24, 35}));
  const auto column = [](OnnxBuilder& b) { return std::vector{b.floats({2, 1}, {1, 2})}; };
  EXPECT_EQ(run(18, {2, 3}, "Sub", column)[0].floats(), (std::vector<float>{-1, 0, 1, 1, 2, 3}));
  EXPECT_THROW(run(18, {2, 3}, "Mul", [](OnnxBuilder& b) { return std::vector{b.floats({2}, {1, 2})}; }), ModelError);
}

TEST(Operators, ConvolutionMatchesPlainLoops) {
  struct Case {
    std::int64_t in, out, h, w, kernel, stride, dilation, group, top, left, bottom, right;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, Case{3, 5, 9, 7, 3, 1, 1, 1, 1, 1, 1, 1},
                        Case{3, 9, 9, 30, 3, 2, 1, 1, 1, 1, 1, 1}, Case{6, 6, 8, 8, 3, 1, 1, 6, 1, 1, 1, 1},
                        Case{6, 4, 11, 10, 3, 3, 2, 2, 0, 2, 1, 3}, Case{2, 3, 12, 13, 6, 2, 1, 1, 2, 2, 2, 2},
                        Case{4, 7, 40, 41, 1, 1, 1, 1, 0, 0, 0, 0}}) {
    OnnxBuilder builder(18, {2, c.in, c.h, c.w});
    const std::string w = builder.noise({c.out, c.in / c.group, c.kernel, c.kernel}, 1);
    const std::string bias = builder.noise({c.out}, 1);
    builder.output(builder.node("Conv", {builder.input(), w, bias},
                                {{"strides", {c.stride, c.stride}},
                                 {"dilations", {c.dilation, c.dilation}},
                                 {"pads", {c.top, c.left, c.bottom, c.right}},
                                 {"group", {c.group}}}));
    const Graph graph = parse_onnx(builder.bytes(), "test");
    Tensor x = counting({2, c.in, c.h, c.w});
    for (float& v : x.floats()) v = std::sin(v);
    const Tensor y = Interpreter(graph).run(x)[0];
    const auto& weights = graph.constant(w)->floats();
    std::size_t at = 0;
    const std::int64_t per_group = c.out / c.group, depth = c.in / c.group;
    for (std::int64_t n = 0; n < 2; ++n)
      for (std::int64_t o = 0; o < c.out; ++o)
        for (std::int64_t oy = 0; oy < y.dims[2]; ++oy)
          for (std::int64_t ox = 0; ox < y.dims[3]; ++ox, ++at) {
            double sum = graph.constant(bias)->floats()[static_cast<std::size_t>(o)];
            for (std::int64_t i = 0; i < depth; ++i)
              for (std::int64_t ky = 0; ky < c.kernel; ++ky)
                for (std::int64_t kx = 0; kx < c.kernel; ++kx) {
                  const std::int64_t iy = oy * c.stride + ky * c.dilation - c.top,
                                     ix = ox * c.stride + kx * c.dilation - c.left;
                  if (iy < 0 || ix < 0 || iy >= c.h || ix >= c.w) continue;
                  sum += weights[static_cast<std::size_t>(((o * depth + i) * c.kernel + ky) * c.kernel + kx)] *
                         x.floats()[static_cast<std::size_t>(((n * c.in + o / per_group * depth + i) * c.h + iy) * c.w +
                                                             ix)];
                }
            ASSERT_NEAR(y.floats()[at], sum, 1e-4) << "kernel " << c.kernel << " element " << at;
          }
    EXPECT_EQ(at, y.floats().size());
  }
}

TEST(Operators, MaxPoolRoundsUpOnlyWhenAsked) {
  const auto size = [](std::int64_t ceil) {
    return run(18, {1, 1, 6, 6}, "MaxPool", {},
               {{"kernel_shape", {3, 3}}, {"strides", {2, 2}}, {"ceil_mode", {ceil}}})[0]
        .dims;
  };
  EXPECT_EQ(size(0), (Dims{1, 1, 2, 2}));
  EXPECT_EQ(size(1), (Dims{1, 1, 3, 3}));
}

TEST(Operators, ResizeTakesOnlyWholeNearestFactors) {
  const auto resize = [](std::vector<float> scales, const char* where, const char* rounding) {
    OnnxBuilder builder(18, {1, 1, 2, 2});
    const std::string y = builder.node("Resize", {builder.input(), "", builder.floats({4}, scales)});
    builder.text("coordinate_transformation_mode", where);
    builder.text("nearest_mode", rounding);
    builder.output(y);
    return Interpreter(parse_onnx(builder.bytes(), "test")).run(counting({1, 1, 2, 2}))[0].floats();
  };
  const std::vector<float> twice{0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3};
  EXPECT_EQ(resize({1, 1, 2, 2}, "asymmetric", "floor"), twice);
  EXPECT_EQ(resize({1, 1, 2, 2}, "half_pixel", "round_prefer_floor"), twice);
  EXPECT_THROW(resize({1, 1, 2, 2}, "half_pixel", "floor"), ModelError);
  EXPECT_THROW(resize({1, 1, 1.5F, 1.5F}, "asymmetric", "floor"), ModelError);
  EXPECT_THROW(resize({1, 2, 2, 2}, "asymmetric", "floor"), ModelError);
}

TEST(Passes, SizesOfAShapeDependentGraphAreFolded) {
  OnnxBuilder b(18, {-1, 3, -1, -1});
  const std::string shape = b.node("Shape", {b.input()});
  const std::string height = b.node("Gather", {shape, b.ints({2})}, {{"axis", {0}}});
  const std::string area = b.node("Mul", {height, b.node("Gather", {shape, b.ints({3})}, {{"axis", {0}}})});
  const std::string target = b.node("Concat", {b.ints({0, 3}), area}, {{"axis", {0}}});
  b.output(b.node("Reshape", {b.node("Identity", {b.input()}), target}));
  const SizedGraph sized = specialise(parse_onnx(b.bytes(), "test"), {2, 3, 4, 5});
  ASSERT_EQ(sized.graph.nodes.size(), 1U);
  EXPECT_EQ(sized.graph.nodes[0].op, "Reshape");
  EXPECT_EQ(sized.graph.nodes[0].inputs[0], "images");
  EXPECT_EQ(sized.dims_of(sized.graph.outputs[0].name), (Dims{2, 3, 20}));
}

TEST(Passes, CutDropsWhatNobodyNeeds) {
  OnnxBuilder b(18, {1, 4});
  const std::string kept = b.node("Sigmoid", {b.input()});
  b.output(b.node("Add", {kept, b.floats({4}, {1, 2, 3, 4})}));
  const Graph graph = cut(parse_onnx(b.bytes(), "test"), {kept});
  EXPECT_EQ(graph.nodes.size(), 1U);
  EXPECT_TRUE(graph.constants.empty());
}

TEST(Passes, BatchNormFoldsToTheSame) {
  const Graph graph = parse_onnx(test::mini_yolo({.batch_norm = true}).bytes(), "test");
  const Graph folded = fold_batch_norms(graph);
  for (const Node& node : folded.nodes) EXPECT_NE(node.op, "BatchNormalization");
  Tensor x = counting({1, 3, 64, 64});
  for (float& v : x.floats()) v = 0.5F + 0.5F * std::sin(v);
  const Tensor a = Interpreter(graph).run(x)[0];
  const Tensor b = Interpreter(folded).run(x)[0];
  for (std::size_t i = 0; i < a.floats().size(); ++i) ASSERT_NEAR(a.floats()[i], b.floats()[i], 2e-3) << i;
}

TEST(Interpreter, ObserversSeeAndMayChangeEveryTensor) {
  OnnxBuilder b(18, {1, 2});
  const std::string half = b.node("Mul", {b.input(), b.floats({2}, {0.5F, 0.5F})});
  b.output(b.node("Add", {half, b.floats({2}, {1, 1})}));
  const Interpreter interpreter(parse_onnx(b.bytes(), "test"));
  std::vector<std::string> seen;
  const auto out = interpreter.run(counting({1, 2}), [&](const Node& node, const std::string& tensor, Tensor& value) {
    seen.push_back(node.op);
    if (tensor == half) value.floats() = {100, 200};
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"", "Mul", "Add"}));
  EXPECT_EQ(out[0].floats(), (std::vector<float>{101, 201}));
}

}  // namespace
}  // namespace gantry::graph
