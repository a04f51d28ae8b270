// What the planner makes of a graph: fusion, views, blocks, arena, costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "graph/arena_sim.hpp"
#include "graph/onnx_builder.hpp"
#include "support/test_data.hpp"

namespace gantry::graph {
namespace {

using test::ArenaSim;
using test::mini_yolo;
using test::MiniYolo;

Model model_of(const MiniYolo& wanted) {
  return Model::parse(mini_yolo(wanted).bytes(), "mini.onnx");
}
constexpr engine::InputShape kShape{64, 64};

template <typename T>
long count(const Plan& plan) {
  return std::count_if(plan.ops.begin(), plan.ops.end(), [](const Op& op) { return op.as<T>() != nullptr; });
}
const Op& op_named(const Plan& plan, const std::string& part) {
  const auto found = std::find_if(plan.ops.begin(), plan.ops.end(),
                                  [&](const Op& op) { return op.name.find(part) != std::string::npos; });
  if (found == plan.ops.end()) throw std::logic_error("no op " + part);
  return *found;
}

TEST(Plan, FusesEverythingIntoConvolutionsPoolsAndAttention) {
  const Plan plan = make_plan(model_of({}), kShape);
  EXPECT_EQ(count<PoolChainOp>(plan), 1);
  EXPECT_EQ(count<AttentionOp>(plan), 1);
  EXPECT_EQ(count<DetectOp>(plan), 1);
  EXPECT_EQ(count<CopyOp>(plan) + count<AddOp>(plan) + count<MaxPoolOp>(plan), 0);
  EXPECT_EQ(static_cast<std::size_t>(count<ConvOp>(plan)) + 3, plan.ops.size());
  EXPECT_NE(plan.ops.back().as<DetectOp>(), nullptr);
}

TEST(Plan, FoldsActivationAndResidualIntoTheConvolution) {
  const Plan plan = make_plan(model_of({}), kShape);
  const Op& second = op_named(plan, "/model.2/m.0/cv2/");
  EXPECT_EQ(second.as<ConvOp>()->activation, Activation::kSilu);
  ASSERT_TRUE(second.as<ConvOp>()->residual.has_value());
  EXPECT_EQ(*second.as<ConvOp>()->residual, op_named(plan, "/model.2/m.0/cv1/").inputs.front());
  EXPECT_EQ(op_named(plan, "/head/cv2.0/1/").as<ConvOp>()->activation, Activation::kNone);
}

TEST(Plan, JoinsAndSplitsAreViewsOfOneBuffer) {
  const Plan plan = make_plan(model_of({}), kShape);
  const View first = op_named(plan, "/model.2/cv1/").outputs.front();
  const View half = op_named(plan, "/model.2/m.0/cv1/").inputs.front();
  const View made = op_named(plan, "/model.2/m.0/cv2/").outputs.front();
  const View joined = op_named(plan, "/model.2/cv2/").inputs.front();
  EXPECT_EQ(first, (View{joined.buffer, 0, 16, 1}));
  EXPECT_EQ(half, (View{joined.buffer, 8, 8, 1}));
  EXPECT_EQ(made, (View{joined.buffer, 16, 8, 1}));
  EXPECT_EQ(joined, (View{joined.buffer, 0, 24, 1}));
}

TEST(Plan, PoolsWriteBehindTheirInput) {
  const Plan plan = make_plan(model_of({}), kShape);
  const Op& pools = op_named(plan, "MaxPool");
  ASSERT_EQ(pools.outputs.size(), 3U);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(pools.outputs[static_cast<std::size_t>(i)], (View{pools.inputs[0].buffer, 32 * (i + 1), 32, 1}));
}

TEST(Plan, UpsamplingIsFoldedIntoItsReader) {
  const Plan plan = make_plan(model_of({}), kShape);
  const Op& reader = op_named(plan, "/model.10/cv1/");
  ASSERT_EQ(reader.inputs.size(), 2U);
  EXPECT_EQ(reader.inputs[0].upsample, 2);
  EXPECT_EQ(reader.inputs[1].upsample, 1);
  EXPECT_EQ(size_of(plan, reader.inputs[0]), size_of(plan, reader.inputs[1]));
}

TEST(Plan, AttentionIsOneOpBetweenItsProjections) {
  for (const bool joined_head : {false, true}) {  // the scale on q or on the product
    const Plan plan = make_plan(model_of({.joined_head = joined_head}), kShape);
    const Op& op = op_named(plan, "Softmax");
    const auto& attention = *op.as<AttentionOp>();
    EXPECT_EQ(attention.heads, 2);
    EXPECT_EQ(attention.key_dim, 8);
    EXPECT_EQ(attention.head_dim, 16);
    EXPECT_FLOAT_EQ(attention.scale, 0.35355338F);
    EXPECT_EQ(attention.position->out, 32);
    const Block& block = plan.blocks[static_cast<std::size_t>(op.block)];
    EXPECT_EQ(block.kind, BlockKind::kAttention);
    EXPECT_EQ(block.op_count, 3);
    EXPECT_TRUE(plan.ops[static_cast<std::size_t>(block.first_op) + 2].as<ConvOp>()->residual.has_value());
  }
}

TEST(Plan, BlocksHoldOpsWhoseMapsNobodyElseReads) {
  const Plan plan = make_plan(model_of({}), kShape);
  std::map<BlockKind, int> kinds;
  for (std::size_t b = 0; b < plan.blocks.size(); ++b) {
    const Block& block = plan.blocks[b];
    ++kinds[block.kind];
    for (int i = block.first_op; i < block.first_op + block.op_count; ++i) {
      EXPECT_EQ(plan.ops[static_cast<std::size_t>(i)].block, static_cast<int>(b));
      if (i + 1 == block.first_op + block.op_count) continue;
      for (std::size_t reader = 0; reader < plan.ops.size(); ++reader) {
        const auto& sources = plan.ops[reader].depends_on;
        const bool reads = std::find(sources.begin(), sources.end(), i) != sources.end();
        EXPECT_EQ(reads, static_cast<int>(reader) == i + 1) << plan.ops[reader].name;
      }
    }
  }
  EXPECT_EQ(kinds[BlockKind::kStem], 1);
  EXPECT_EQ(kinds[BlockKind::kBottleneck], 4);
  EXPECT_EQ(kinds[BlockKind::kDepthwisePointwise], 2);
  EXPECT_EQ(kinds[BlockKind::kAttention], 1);
}

TEST(Plan, ChannelsAreAlignedAlsoForOddCounts) {
  for (const MiniYolo& wanted : {MiniYolo{}, MiniYolo{.classes = 3}, MiniYolo{.classes = 91}}) {
    const Plan plan = make_plan(model_of(wanted), kShape);
    for (const Buffer& buffer : plan.buffers) {
      if (!buffer.external) {
        EXPECT_EQ(buffer.pitch % 8, 0) << buffer.name;
      }
    }
    for (const Op& op : plan.ops) {
      for (const View& view : op.inputs) EXPECT_EQ(view.channel % 8, 0) << op.name;
      for (const View& view : op.outputs) EXPECT_EQ(view.channel % 8, 0) << op.name;
    }
  }
}

TEST(Plan, DependenciesPointBack) {
  const Plan plan = make_plan(model_of({}), kShape);
  for (std::size_t i = 0; i < plan.ops.size(); ++i)
    for (const int source : plan.ops[i].depends_on) EXPECT_LT(source, static_cast<int>(i));
}

TEST(Plan, ShapesShareTheirWeights) {
  const Model model = model_of({});
  const Plan a = make_plan(model, kShape);
  const Plan b = make_plan(model, {96, 32});
  ASSERT_EQ(a.ops.size(), b.ops.size());
  for (std::size_t i = 0; i < a.ops.size(); ++i) {
    if (const auto* conv = a.ops[i].as<ConvOp>(); conv != nullptr) {
      EXPECT_EQ(conv->weights.get(), b.ops[i].as<ConvOp>()->weights.get());
    }
  }
}

TEST(Plan, SameInputSamePlan) {
  const Plan a = make_plan(model_of({}), kShape);
  const Plan b = make_plan(model_of({}), kShape);
  ASSERT_EQ(a.buffers.size(), b.buffers.size());
  for (std::size_t i = 0; i < a.buffers.size(); ++i) {
    EXPECT_EQ(a.buffers[i].name, b.buffers[i].name);
    EXPECT_EQ(a.buffers[i].offset, b.buffers[i].offset);
  }
  for (std::size_t i = 0; i < a.ops.size(); ++i) EXPECT_EQ(a.ops[i].name, b.ops[i].name);
}

// -- the arena

void play_in_order(const Plan& plan, int batch) {
  ArenaSim sim(plan, batch);
  for (const Segment& segment : plan.segments) {
    const int step = segment.images(batch);
    for (int first = 0; first < batch; first += step)
      for (int op = segment.first_op; op < segment.first_op + segment.op_count; ++op) {
        const auto fault = sim.play(op, first, std::min(step, batch - first));
        ASSERT_FALSE(fault.has_value()) << *fault;
      }
  }
}

TEST(Arena, NoOpReadsWhatAnotherOverwrote) {
  for (const DataType type : {DataType::kFloat16, DataType::kFloat32})
    for (const int batch : {1, 3}) {
      PlanOptions options;
      options.activations = type;
      play_in_order(make_plan(model_of({}), kShape, options), batch);
    }
}

TEST(Arena, SubBatchesKeepWhatCrosses) {
  PlanOptions options;
  options.l2_bytes = 80'000;
  const Plan plan = make_plan(model_of({}), kShape, options);
  ASSERT_EQ(plan.segments.size(), 2U);
  EXPECT_GT(plan.crossing_bytes, 0U);
  play_in_order(plan, 1);
  play_in_order(plan, 7);
}

TEST(Arena, AnyOrderThatKeepsTheDependenciesIsSafe) {
  PlanOptions options;
  options.order = PlanOptions::Order::kDependencies;
  const Plan plan = make_plan(model_of({}), kShape, options);
  std::mt19937 random(3);
  for (int round = 0; round < 40; ++round) {
    ArenaSim sim(plan, 2);
    std::vector<bool> done(plan.ops.size(), false);
    for (std::size_t left = plan.ops.size(); left > 0; --left) {
      std::vector<int> ready;
      for (std::size_t i = 0; i < plan.ops.size(); ++i) {
        const auto& sources = plan.ops[i].depends_on;
        if (!done[i] &&
            std::all_of(sources.begin(), sources.end(), [&](int s) { return done[static_cast<std::size_t>(s)]; }))
          ready.push_back(static_cast<int>(i));
      }
      const int op = ready[random() % ready.size()];
      done[static_cast<std::size_t>(op)] = true;
      const auto fault = sim.play(op, 0, 2);
      ASSERT_FALSE(fault.has_value()) << "round " << round << ": " << *fault;
    }
  }
}

/// The check itself must see a fault.
TEST(Arena, ASabotagedArenaIsNoticed) {
  Plan plan = make_plan(model_of({}), kShape);
  for (Buffer& buffer : plan.buffers) buffer.offset = 0;
  ArenaSim sim(plan, 1);
  bool noticed = false;
  for (int op = 0; op < static_cast<int>(plan.ops.size()) && !noticed; ++op) noticed = sim.play(op, 0, 1).has_value();
  EXPECT_TRUE(noticed);
}

// -- the real network

Plan real_plan(engine::InputShape shape) {
  return make_plan(Model::load(test::test_data("weights/yolo11n.onnx").string()), shape);
}

TEST(RealPlan, CostsWhatTheNetworkIsKnownToCost) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  const Plan plan = real_plan({640, 640});
  Cost total, convolutions;
  for (const Op& op : plan.ops) {
    total += cost_of(plan, op);
    if (op.as<ConvOp>() != nullptr) convolutions += cost_of(plan, op);
  }
  EXPECT_EQ(total.convolutions, 87);
  EXPECT_NEAR(convolutions.map_bytes / 1e6, 80.5, 0.02 * 80.5);
  EXPECT_NEAR(total.flops / 1e9, 6.5, 0.1);
  EXPECT_NEAR(cost_by_module(plan).map_bytes / 1e6, 39.5, 0.06 * 39.5);
  const double seconds = floor_seconds(convolutions, {}, 32) / 32;
  EXPECT_NEAR(1 / seconds, 36'700, 0.03 * 36'700);
}

TEST(RealPlan, WideRectangleSavesFortyPercent) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  const auto flops = [](const Plan& plan) {
    Cost total;
    for (const Op& op : plan.ops) total += cost_of(plan, op);
    return total.flops;
  };
  EXPECT_NEAR(flops(real_plan({640, 384})) / flops(real_plan({640, 640})), 0.6, 0.01);
}

TEST(RealPlan, ArenaIsAThirdOfTheBuffersAtMost) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  for (const auto order : {PlanOptions::Order::kSequential, PlanOptions::Order::kDependencies}) {
    PlanOptions options;
    options.order = order;
    const Plan plan = make_plan(Model::load(test::test_data("weights/yolo11n.onnx").string()), {640, 640}, options);
    EXPECT_GE(plan.sum_of_buffers(), 3 * plan.arena_bytes(1));
    EXPECT_EQ(plan.arena_bytes(8), 8 * plan.arena_bytes(1));
  }
}

TEST(RealPlan, AllGenuineExportsGiveTheSamePlan) {
  GANTRY_NEEDS_DATA("weights/ultralytics_exports");
  const auto names = [](const char* file) {
    std::vector<std::string> list;
    const Plan plan = make_plan(Model::load(test::test_data(file).string()), {640, 384});
    EXPECT_EQ(count<CopyOp>(plan) + count<AddOp>(plan), 0);
    for (const Op& op : plan.ops) list.push_back(op.name);
    return list;
  };
  const auto expected = names("weights/yolo11n.onnx");
  EXPECT_EQ(names("weights/ultralytics_exports/yolo11n_ultra_static.onnx"), expected);
  EXPECT_EQ(names("weights/ultralytics_exports/yolo11n_ultra_dynamic.onnx"), expected);
}

}  // namespace
}  // namespace gantry::graph
