// `gantry engine check`'s comparison, and the commands themselves.
#include "gantry/engine/graph/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "gantry/engine/graph/planner.hpp"
#include "graph/onnx_builder.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::graph {
namespace {

constexpr engine::InputShape kShape{64, 64};
constexpr double kTolerance = 1e-3;

Model model() {
  return Model::parse(test::mini_yolo({}).bytes(), "mini.onnx");
}

const LayerError* first_bad(const std::vector<LayerError>& errors) {
  for (const LayerError& error : errors)
    if (!error.within(kTolerance)) return &error;
  return nullptr;
}

/// A plan of which one convolution has one wrong weight.
Plan sabotaged(const Model& of, std::size_t op, float wrong) {
  Plan plan = make_plan(of, kShape);
  auto& conv = std::get<ConvOp>(plan.ops[op].params);
  auto weights = std::make_shared<Weights>(*conv.weights);
  weights->values[0] = wrong;
  conv.weights = weights;
  return plan;
}

TEST(Check, NamesTheFirstLayerThatDiffers) {
  const Model m = model();
  const auto images = drawn_images(kShape, 2);
  for (const std::size_t op : {std::size_t{0}, std::size_t{5}, std::size_t{9}})
    for (const CheckMode mode : {CheckMode::kCumulative, CheckMode::kIsolated}) {
      const Plan plan = sabotaged(m, op, 30);
      const LayerCheck check(m, plan, images, 2);
      const auto errors = check_on_cpu(check, plan, images, 2, mode);
      const LayerError* bad = first_bad(errors);
      ASSERT_NE(bad, nullptr);
      EXPECT_EQ(bad->op, static_cast<int>(op));
      EXPECT_EQ(bad->node, plan.ops[op].name);
      EXPECT_NEAR(std::abs(bad->expected - bad->found), bad->difference, 1e-3);
      long out = std::count_if(errors.begin(), errors.end(), [](const LayerError& e) { return !e.within(kTolerance); });
      if (mode == CheckMode::kIsolated) {
        EXPECT_EQ(out, 1) << "errors must not spread";
      } else {
        EXPECT_GT(out, 1);
      }
    }
}

TEST(Check, ANaNIsNeverWithinTolerance) {
  const Model m = model();
  const auto images = drawn_images(kShape, 1);
  const Plan plan = sabotaged(m, 3, std::nanf(""));
  const LayerCheck check(m, plan, images, 1);
  const auto errors = check_on_cpu(check, plan, images, 1, CheckMode::kCumulative);
  const LayerError* bad = first_bad(errors);
  ASSERT_NE(bad, nullptr);
  EXPECT_EQ(bad->op, 3);
  EXPECT_TRUE(std::isnan(bad->difference));
}

TEST(Check, DecodeIsComparedOnlyWhereTheFileRunsAtThatSize) {
  const Model m = model();
  const auto decode_at = [&](engine::InputShape shape) {
    return LayerCheck(m, make_plan(m, shape), drawn_images(shape, 1), 1).decode().has_value();
  };
  EXPECT_TRUE(decode_at({64, 64}));
  EXPECT_FALSE(decode_at({96, 32}));
}

// -- the commands

struct Ran {
  int code = -1;
  std::string text;
};
Ran gantry(const std::string& arguments) {
  FILE* pipe = ::popen((std::string(GANTRY_PROGRAM) + " engine " + arguments + " 2>&1").c_str(), "r");
  Ran ran;
  std::array<char, 4096> part{};
  while (const std::size_t read = std::fread(part.data(), 1, part.size(), pipe)) ran.text.append(part.data(), read);
  ran.code = WEXITSTATUS(::pclose(pipe));
  return ran;
}

class EngineCommands : public testing::Test {
 protected:
  std::string file() const { return "'" + file_ + "'"; }
  test::TemporaryFolder folder_;
  const std::string file_ = folder_.write("mini.onnx", test::mini_yolo({}).bytes());
};

TEST_F(EngineCommands, InspectPrintsThePlan) {
  const Ran text = gantry("inspect " + file() + " --shape 96x64 --batch 4");
  EXPECT_EQ(text.code, 0) << text.text;
  EXPECT_THAT(text.text, testing::AllOf(testing::HasSubstr("96x64, batch 4"), testing::HasSubstr("pool_chain"),
                                        testing::HasSubstr("arena")));
  const Ran json = gantry("inspect " + file() + " --shape 96x64 --batch 4 --json");
  ASSERT_EQ(json.code, 0) << json.text;
  const auto plan = nlohmann::json::parse(json.text);
  EXPECT_EQ(plan.at("width"), 96);
  EXPECT_EQ(plan.at("ops").size(), make_plan(model(), {96, 64}).ops.size());
  EXPECT_EQ(plan.at("arena_bytes"), make_plan(model(), {96, 64}).arena_bytes(4));
}

TEST_F(EngineCommands, CheckSucceedsAndFailsByTolerance) {
  EXPECT_EQ(gantry("check " + file() + " --batch 2").code, 0);
  const Ran strict = gantry("check " + file() + " --tolerance 1e-12 --json");
  EXPECT_EQ(strict.code, 1);
  const auto report = nlohmann::json::parse(strict.text);
  EXPECT_FALSE(report.at("good"));
  EXPECT_FALSE(report.at("first_out_of_tolerance").get<std::string>().empty());
}

TEST_F(EngineCommands, BadInputIsCodeTwoAndSaysWhat) {
  std::ofstream(file_, std::ios::binary | std::ios::trunc) << "no model";
  for (const std::string& arguments : {"inspect " + file(), "inspect " + file() + " --shape wide",
                                       std::string("inspect /nowhere.onnx"), "check " + file() + " --batch 0"}) {
    const Ran ran = gantry(arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.text;
    EXPECT_FALSE(ran.text.empty());
  }
}

}  // namespace
}  // namespace gantry::graph
