// Every size of YOLO11 through import, fusion, plan and grouping: what depends on its shapes, without a GPU.
#include <gtest/gtest.h>

#include <set>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/steps.hpp"
#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::cuda {
namespace {

struct Size {
  char name;
  double gflops;     ///< of the published network at 640x640
  int convolutions;  ///< of the published network
};

class Sizes : public ::testing::TestWithParam<Size> {};

TEST_P(Sizes, RunsWithTheKernelsThereAre) {
  const auto [name, gflops, convolutions] = GetParam();
  const auto model = graph::Model::parse(test::yolo11(name).bytes(), std::string("yolo11") + name + ".onnx");
  DeviceInfo card;
  card.major = 9, card.multiprocessors = 132;
  for (const engine::InputShape shape : {engine::InputShape{640, 640}, engine::InputShape{640, 384}}) {
    graph::PlanOptions options;
    options.order = graph::PlanOptions::Order::kDependencies;
    options.max_views = kMaxConvSources;
    graph::Plan plan = graph::make_plan(model, shape, options);
    separate_fused(plan, card);
    graph::Cost cost;
    for (const graph::Op& op : plan.ops) cost += graph::cost_of(plan, op);
    const double area = shape.width * shape.height / (640.0 * 640.0);
    EXPECT_NEAR(cost.flops / 1e9, gflops * area, 0.08 * gflops);
    EXPECT_EQ(cost.convolutions, convolutions);
    EXPECT_LT(plan.arena_bytes(1) * 2, plan.sum_of_buffers());
    const auto shared = std::make_shared<const graph::Plan>(std::move(plan));
    WeightStore weights;
    std::set<int> run;
    for (const Group& group : make_groups(shared, weights, card)) {
      run.insert(group.ops.begin(), group.ops.end());
      for (const Way& way : group.ways)
        for (const Step& step : way.steps) {
          EXPECT_FALSE(step.candidates.empty()) << step.key;
          EXPECT_NE(step.key.substr(0, 7), "plain 1") << "a 1x1 convolution without a tiled kernel: " << step.key;
        }
    }
    EXPECT_EQ(run.size(), shared->ops.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Yolo11, Sizes,
                         ::testing::Values(Size{'n', 6.5, 87}, Size{'s', 21.5, 87}, Size{'m', 68, 112},
                                           Size{'l', 86.9, 173}, Size{'x', 194.9, 173}),
                         [](const auto& tested) { return std::string(1, tested.param.name); });

}  // namespace
}  // namespace gantry::cuda
