#include "gantry/scheduler/sim/comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gantry/scheduler/sim/policies.hpp"

namespace gantry::scheduler::sim {
namespace {

std::vector<Scenario> shipped(const std::string& file) {
  return load_scenarios(GANTRY_SOURCE_DIR "/examples/scenarios/" + file, Length::kShort);
}

TEST(Comparison, DoesNotDependOnTheNumberOfThreads) {
  CompareOptions options{.policies = {"nexus", "lockstep"}, .seeds = 3};
  const std::string alone = to_json(compare(shipped("04-urgent.yaml"), options));
  options.jobs = 3;
  EXPECT_EQ(to_json(compare(shipped("04-urgent.yaml"), options)), alone);
  options.first_seed = 2;
  EXPECT_NE(to_json(compare(shipped("04-urgent.yaml"), options)), alone);
}

TEST(Comparison, PrintsWhatItMeasured) {
  const auto comparisons = compare(shipped("04-urgent.yaml"), {.policies = {"clockwork"}, .seeds = 2});
  const auto json = nlohmann::json::parse(to_json(comparisons));
  ASSERT_EQ(json.size(), comparisons.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    EXPECT_EQ(json[i]["setup"], comparisons[i].scenario.setup);
    const auto& policy = json[i]["policies"][0];
    EXPECT_EQ(policy["runs"].size(), 2);
    EXPECT_DOUBLE_EQ(policy["goodput"], comparisons[i].policies[0].goodput());
    for (const auto& run : policy["runs"]) {
      std::uint64_t offered = 0;
      std::uint64_t ended = 0;
      for (const auto& c : run["classes"]) offered += c["offered"].get<std::uint64_t>();
      for (const auto& outcome : run["outcomes"]) ended += outcome.get<std::uint64_t>();
      EXPECT_EQ(offered, ended);
    }
  }
  for (const std::string& out : {to_text(comparisons), to_markdown(comparisons)}) {
    for (const Comparison& comparison : comparisons) {
      EXPECT_THAT(out, testing::HasSubstr(comparison.scenario.full_name()));
    }
  }
}

TEST(Comparison, DrawsEveryPolicyAsWellFormedSvg) {
  auto scenarios = shipped("01-steady.yaml");
  scenarios.resize(1);
  scenarios[0].about = "less < more & \"more\" > less";
  const auto comparisons = compare(scenarios, {.policies = {"triton", "nexus"}});
  const std::string svg = to_svg(comparisons.front());
  EXPECT_THAT(svg, testing::StartsWith("<svg "));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
  EXPECT_THAT(svg, testing::HasSubstr("less &lt; more &amp;"));
  EXPECT_THAT(svg, testing::Not(testing::HasSubstr("nan")));
  std::size_t curves = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++curves;
  EXPECT_EQ(curves, 3 + 2 + 2);  // offered and two policies, then two policies twice
}

}  // namespace
}  // namespace gantry::scheduler::sim
