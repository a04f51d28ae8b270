// The fused plan on the CPU against the unfused graph, on small detectors in every form that exports take.
#include "gantry/engine/graph/executor.hpp"

#include <gtest/gtest.h>

#include <ostream>

#include "gantry/engine/graph/check.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::graph {
namespace {

using test::mini_yolo;
using test::MiniYolo;

constexpr double kTolerance = 2e-5;  // of a layer's largest value

Model model_of(const MiniYolo& wanted) {
  return Model::parse(mini_yolo(wanted).bytes(), "mini.onnx");
}

struct Case {
  const char* name;
  MiniYolo wanted;
};
void PrintTo(const Case& tested, std::ostream* out) {
  *out << tested.name;
}

class Forms : public testing::TestWithParam<Case> {};

TEST_P(Forms, EveryLayerMatchesTheUnfusedGraph) {
  const Model model = model_of(GetParam().wanted);
  const engine::InputShape native = model.info().native_shape;
  for (const engine::InputShape shape : {native, engine::InputShape{96, 32}, engine::InputShape{16, 80}}) {
    const int batch = 2;
    const auto images = drawn_images(shape, batch);
    const Plan plan = make_plan(model, shape);
    const LayerCheck check(model, plan, images, batch);
    const auto errors = check_on_cpu(check, plan, images, batch, CheckMode::kCumulative);
    EXPECT_GT(errors.size(), 30U);
    for (const LayerError& error : errors)
      EXPECT_TRUE(error.within(kTolerance)) << error.node << ": " << error.difference << " of " << error.scale << " at "
                                            << shape.width << "x" << shape.height;
  }
}

TEST_P(Forms, OwnDecodeMatchesTheFiles) {
  MiniYolo wanted = GetParam().wanted;
  const Model model = model_of(wanted);
  const engine::InputShape shape = model.info().native_shape;
  const auto images = drawn_images(shape, 1);
  const LayerCheck check(model, make_plan(model, shape), images, 1);
  ASSERT_TRUE(check.decode().has_value());
  EXPECT_LE(check.decode()->box, 1e-3);
  EXPECT_LE(check.decode()->score, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Exports, Forms,
    testing::Values(Case{"opset18", {}}, Case{"joined_head", {.joined_head = true}}, Case{"opset12", {.opset = 12}},
                    Case{"opset12_joined", {.opset = 12, .joined_head = true}}, Case{"opset13", {.opset = 13}},
                    Case{"opset20_dynamic_batch", {.opset = 20, .dynamic_batch = true}},
                    Case{"no_attention", {.attention = false}}, Case{"batch_norm", {.batch_norm = true}},
                    Case{"slices", {.slices = true}}, Case{"frozen_sizes", {.resize_sizes = true}},
                    Case{"one_class", {.classes = 1}}, Case{"many_classes", {.classes = 91}},
                    Case{"odd_width", {.width = 6}}, Case{"wide_picture", {.height_px = 48, .width_px = 112}}),
    [](const auto& tested) { return tested.param.name; });

/// All raw maps of one image, one value after the other.
std::vector<float> raw_maps(const CpuExecutor& executor, int image) {
  std::vector<float> values;
  for (const ConstMap& map : executor.head_maps(image))
    for (int y = 0; y < map.height; ++y)
      for (int x = 0; x < map.width; ++x) values.insert(values.end(), map.at(y, x), map.at(y, x) + map.channels);
  return values;
}

void expect_batch_equals_singles(const PlanOptions& options) {
  const Model model = model_of({});
  const engine::InputShape shape{64, 48};
  const int batch = 5;
  const auto images = drawn_images(shape, batch);
  const std::size_t size = images.size() / batch;
  CpuExecutor together(make_plan(model, shape, options), options.order);
  together.run(images, batch);
  CpuExecutor alone(make_plan(model, shape, options), options.order);
  for (int i = 0; i < batch; ++i) {
    alone.run(std::span(images).subspan(static_cast<std::size_t>(i) * size, size), 1);
    EXPECT_EQ(raw_maps(together, i), raw_maps(alone, 0)) << "image " << i;
  }
}

TEST(Executor, BatchIsBitEqualToSingles) {
  expect_batch_equals_singles({});
}

TEST(Executor, SubBatchesAreBitEqualToSingles) {
  PlanOptions options;
  options.l2_bytes = 80'000;
  const Plan plan = make_plan(model_of({}), {64, 48}, options);
  ASSERT_EQ(plan.segments.size(), 2U);
  ASSERT_GT(plan.segments[0].sub_batch, 1);
  ASSERT_LT(plan.segments[0].sub_batch, 5);
  expect_batch_equals_singles(options);
}

TEST(Executor, ArenaForAnyOrderGivesTheSame) {
  PlanOptions options;
  options.order = PlanOptions::Order::kDependencies;
  expect_batch_equals_singles(options);
}

TEST(Executor, RunsAgainOnWhatTheLastRunLeft) {
  const Model model = model_of({});
  const engine::InputShape shape{64, 64};
  CpuExecutor executor(make_plan(model, shape));
  const auto images = drawn_images(shape, 2);
  executor.run(images, 2);
  const auto first = raw_maps(executor, 1);
  executor.run(std::vector<float>(images.size(), 0.5F), 2);
  EXPECT_NE(raw_maps(executor, 1), first);
  executor.run(images, 2);
  EXPECT_EQ(raw_maps(executor, 1), first);
}

TEST(Executor, RefusesImagesOfAnotherSize) {
  CpuExecutor executor(make_plan(model_of({}), {64, 64}));
  EXPECT_THROW(executor.run(std::vector<float>(3 * 64 * 63), 1), PreconditionError);
  EXPECT_THROW(executor.run(std::vector<float>{}, 0), PreconditionError);
}

/// A join of an enlarged and a plain map that a 3x3 convolution reads can't stay a view.
TEST(Executor, CopiesWhatNoViewCanShow) {
  auto builder = mini_yolo({});
  // Makes model.10/cv1, the 1x1 convolution behind the upsampled join, a 3x3 one.
  auto* graph = builder.proto().mutable_graph();
  for (auto& node : *graph->mutable_node()) {
    if (node.name().find("/model.10/cv1/Conv") != 0) continue;
    const auto& old = *std::find_if(graph->initializer().begin(), graph->initializer().end(),
                                    [&](const auto& tensor) { return tensor.name() == node.input(1); });
    const std::int64_t out = old.dims(0);
    const std::int64_t in = old.dims(1);
    node.set_input(1, builder.noise({out, in, 3, 3}, 0.2F));
    for (auto& attribute : *node.mutable_attribute())
      if (attribute.name() == "pads" || attribute.name() == "kernel_shape")
        for (auto& value : *attribute.mutable_ints()) value = attribute.name() == "pads" ? 1 : 3;
  }
  const Model model = Model::parse(builder.bytes(), "mini.onnx");
  const engine::InputShape shape{64, 64};
  const Plan plan = make_plan(model, shape);
  EXPECT_EQ(std::count_if(plan.ops.begin(), plan.ops.end(), [](const Op& op) { return op.as<CopyOp>() != nullptr; }),
            2);
  const auto images = drawn_images(shape, 1);
  const LayerCheck check(model, plan, images, 1);
  for (const LayerError& error : check_on_cpu(check, plan, images, 1, CheckMode::kCumulative))
    EXPECT_TRUE(error.within(kTolerance)) << error.node;
}

}  // namespace
}  // namespace gantry::graph
