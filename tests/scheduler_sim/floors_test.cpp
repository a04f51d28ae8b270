// What Gantry promises on the shipped scenarios, held on their short forms with two seeds. docs/scheduler.md has the
// full forms with twenty.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gantry/scheduler/sim/comparison.hpp"
#include "gantry/scheduler/sim/policies.hpp"

namespace gantry::scheduler::sim {
namespace {

constexpr int kSeeds = 2;
constexpr double kUrgentMisses = 0.001;

/// What a setup is held to.
struct Floors {
  double share_of_bound = 0;    ///< goodput over the bound (under the urgent cap, where there are urgent frames)
  double behind_first = 0.001;  ///< at most this far behind the best baseline that keeps its urgent frames
};

/// Where the rule (97 % of the bound under capacity, 95 % over it, within 0.1 % of the first) is not met, and what is;
/// docs/scheduler.md says why.
const std::map<std::string, Floors> kExceptions{
    {"urgent/slow-150", {.share_of_bound = 0.85}},
    {"slow-down/slow", {.share_of_bound = 0.97, .behind_first = 0.002}},
    {"device-dies/h100", {.share_of_bound = 0.97, .behind_first = 0.006}},
    {"device-dies/slow", {.share_of_bound = 0.97, .behind_first = 0.002}},
    {"frame-rates/slow", {.share_of_bound = 0.97, .behind_first = 0.002}},
    {"shapes/slow-130", {.share_of_bound = 0.90}},
    {"bursty/h100", {.share_of_bound = 0.97, .behind_first = 0.005}},
    {"bursty/slow", {.share_of_bound = 0.96, .behind_first = 0.006}},
};

Floors floors_of(const Comparison& comparison) {
  const auto exception = kExceptions.find(comparison.scenario.full_name());
  if (exception != kExceptions.end()) return exception->second;
  return {.share_of_bound = comparison.load < 1 ? 0.97 : 0.95};
}

class ShippedScenario : public testing::TestWithParam<std::string> {};

TEST_P(ShippedScenario, MeetsItsFloors) {
  const std::filesystem::path file = std::filesystem::path(GANTRY_SOURCE_DIR) / "examples/scenarios" / GetParam();
  CompareOptions options{.policies = policy_names(), .seeds = kSeeds};
  for (const Comparison& comparison : compare(load_scenarios(file, Length::kShort), options)) {
    SCOPED_TRACE(comparison.scenario.full_name());
    const Floors floors = floors_of(comparison);
    const PolicyResult& gantry = comparison.policies.front();
    ASSERT_EQ(gantry.policy, "gantry");
    EXPECT_GE(gantry.goodput(), floors.share_of_bound * comparison.capped_bound);
    for (const PolicyResult& other : comparison.policies) {
      // Who gives up urgent frames has more time for the rest; that is no better schedule.
      if (other.miss_rate(true) > kUrgentMisses) continue;
      EXPECT_GE(gantry.goodput(), other.goodput() - floors.behind_first) << "behind " << other.policy;
    }
    if (!comparison.scenario.device_fault) {
      EXPECT_LE(gantry.miss_rate(true), kUrgentMisses);
    }
    if (comparison.load > 1) {
      EXPECT_GE(gantry.lowest_jain(), 0.98);
    }
    for (const RunSummary& run : gantry.runs) EXPECT_EQ(run.hopeless, 0) << "seed " << run.seed;
  }
}

std::vector<std::string> files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GANTRY_SOURCE_DIR "/examples/scenarios")) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Each, ShippedScenario, testing::ValuesIn(files()), [](const auto& test) {
  std::string name = test.param.substr(3, test.param.size() - 8);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(QueueWait, IsAtLeastSixtyPercentLowerThanAFixedTimeoutAtSeventyPercentLoad) {
  auto scenarios = load_scenarios(GANTRY_SOURCE_DIR "/examples/scenarios/12-seventy-percent.yaml", Length::kShort);
  std::erase_if(scenarios, [](const Scenario& scenario) { return scenario.setup != "h100"; });
  const auto comparisons = compare(scenarios, {.policies = {"gantry", "fixed_timeout"}, .seeds = kSeeds});
  ASSERT_EQ(comparisons.size(), 1);
  const PolicyResult& gantry = comparisons[0].policies[0];
  const PolicyResult& fixed = comparisons[0].policies[1];
  EXPECT_LE(gantry.mean(&RunSummary::wait_p50_ms), 0.4 * fixed.mean(&RunSummary::wait_p50_ms));
  EXPECT_LE(gantry.mean(&RunSummary::wait_p99_ms), 0.4 * fixed.mean(&RunSummary::wait_p99_ms));
  EXPECT_GE(gantry.goodput(), fixed.goodput());
}

}  // namespace
}  // namespace gantry::scheduler::sim
