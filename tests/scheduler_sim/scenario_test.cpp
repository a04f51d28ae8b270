#include "gantry/scheduler/sim/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "gantry/core/errors.hpp"

namespace gantry::scheduler::sim {
namespace {

const std::string kGood = R"(name: test
duration_s: 10
cameras:
  - {count: 4, fps: 30}
setups:
  - {name: one, devices: [{table: h100}]}
)";

std::string message_of(const std::string& text) {
  try {
    static_cast<void>(parse_scenarios(text, "x.yaml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(Scenario, ReadsWhatTheFileSays) {
  const std::vector<Scenario> scenarios = parse_scenarios(kGood, "x.yaml");
  ASSERT_EQ(scenarios.size(), 1);
  const Scenario& scenario = scenarios.front();
  EXPECT_EQ(scenario.full_name(), "test/one");
  EXPECT_EQ(scenario.duration_s, 10);
  ASSERT_EQ(scenario.cameras.size(), 1);
  EXPECT_EQ(scenario.cameras.front().count, 4);
  EXPECT_EQ(scenario.cameras.front().deadline_ms, 100);
  ASSERT_EQ(scenario.devices.size(), 1);
  EXPECT_EQ(scenario.devices.front().table.max_batch(), 32);
  EXPECT_FALSE(scenario.urgent_cap);
}

TEST(Scenario, UrgentFramesGetTwentyMillisecondsUnlessToldOtherwise) {
  const Scenario scenario = parse_scenarios(with("fps: 30", "fps: 30, class: urgent"), "x.yaml").front();
  EXPECT_EQ(scenario.cameras.front().deadline_ms, 20);
  EXPECT_TRUE(scenario.urgent_cap);
}

TEST(Scenario, EachSetupScalesTheTraffic) {
  const auto scenarios =
      parse_scenarios(kGood + "  - {name: two, camera_scale: 2.5, devices: [{table: slow, count: 3}]}\n", "x.yaml");
  ASSERT_EQ(scenarios.size(), 2);
  EXPECT_EQ(scenarios[1].cameras.front().count, 10);
  EXPECT_EQ(scenarios[1].devices.size(), 3);
  EXPECT_EQ(scenarios[0].cameras.front().count, 4);
}

TEST(Scenario, ShortFormScalesTheScript) {
  const std::string text = kGood + "short_duration_s: 1\nevents:\n  - {kind: fault, device: 0, at_s: 5, for_s: 2}\n";
  const Scenario scenario = parse_scenarios(text, "x.yaml", Length::kShort).front();
  EXPECT_DOUBLE_EQ(scenario.duration_s, 1);
  EXPECT_DOUBLE_EQ(scenario.events.front().at_s, 0.5);
  EXPECT_DOUBLE_EQ(scenario.events.front().for_s, 0.2);
  EXPECT_TRUE(scenario.device_fault);
}

struct BadCase {
  std::string name;
  std::string text;
  std::vector<std::string> says;
  friend void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }
};

class BadScenario : public testing::TestWithParam<BadCase> {};

TEST_P(BadScenario, IsNamedByFileLineKeyValueAndRange) {
  const std::string message = message_of(GetParam().text);
  for (const std::string& part : GetParam().says) EXPECT_THAT(message, testing::HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadScenario,
    testing::Values(
        BadCase{"number_out_of_range", with("fps: 30", "fps: 0"), {"x.yaml:4", "cameras[0].fps", "0", "0.01 to 240"}},
        BadCase{"not_a_number", with("fps: 30", "fps: fast"), {"x.yaml:4", "cameras[0].fps", "'fast'", "0.01 to 240"}},
        BadCase{"not_finite", with("fps: 30", "fps: .nan"), {"x.yaml:4", "cameras[0].fps", "not a number"}},
        BadCase{"not_whole", with("count: 4", "count: 4.5"), {"cameras[0].count", "4.5", "whole"}},
        BadCase{"upside_down", with("fps: 30", "fps: [60, 1]"), {"cameras[0].fps", "[60, 1]", "[low, high]"}},
        BadCase{"unknown_key", with("fps: 30", "fsp: 30"), {"x.yaml:4", "cameras[0].fsp", "known", "fps"}},
        BadCase{"unknown_choice", with("fps: 30", "phase: odd"), {"cameras[0].phase", "'odd'", "aligned"}},
        BadCase{"missing", with("name: test\n", ""), {"name", "missing"}},
        BadCase{"unknown_table", with("h100", "a100"), {"x.yaml:6", "setups[0].devices[0].table", "'a100'", "slow"}},
        BadCase{"table_without_one",
                with("table: h100", "table: [[2, 1], [4, 2]]"),
                {"setups[0].devices[0].table", "begin with batch 1"}},
        BadCase{"table_falls",
                with("table: h100", "table: [[1, 2], [4, 1]]"),
                {"setups[0].devices[0].table", "t(4)", "below"}},
        BadCase{"no_such_device",
                kGood + "events:\n  - {kind: fault, device: 3, at_s: 1, for_s: 1}\n",
                {"setups[0].devices", "device 3", "0 to 0"}},
        BadCase{"no_such_shape",
                with("fps: 30", "shapes: {320x320: 1}"),
                {"cameras[0].shapes", "'320x320'", "scenario's `shapes`"}},
        BadCase{"shares_do_not_sum",
                kGood + "shapes: [{size: 640x384}]\n" + "x: 1\n",
                {"x.yaml:8", "x", "not a known key"}},
        BadCase{"burst_too_loud",
                with("fps: 30", "fps: 30, process: bursty, burst: {factor: 5, on_s: 1, off_s: 1}"),
                {"cameras[0].burst.factor", "5", "1 to 2"}},
        BadCase{"odd_size", kGood + "shapes: [{size: 100x100}]\n", {"shapes[0].size", "'100x100'", "multiple of 32"}},
        BadCase{"short_longer_than_full", kGood + "short_duration_s: 11\n", {"short_duration_s", "11", "0.01 to 10"}},
        BadCase{"not_yaml", "name: [", {"x.yaml:", "YAML"}}, BadCase{"empty", "", {"x.yaml:1", "mapping"}}),
    [](const auto& test) { return test.param.name; });

TEST(Scenario, MissingFileIsNamed) {
  EXPECT_THROW(
      {
        try {
          static_cast<void>(load_scenarios("no/such/file.yaml"));
        } catch (const ConfigError& error) {
          EXPECT_THAT(error.what(), testing::HasSubstr("no/such/file.yaml"));
          throw;
        }
      },
      ConfigError);
}

TEST(Scenario, LatencyIsLinearBetweenMeasuredBatches) {
  const LatencyTable& table = fixed_table("slow");
  EXPECT_DOUBLE_EQ(table.at_ms(1), 6);
  EXPECT_DOUBLE_EQ(table.at_ms(2), 7);
  EXPECT_DOUBLE_EQ(table.at_ms(4), 9);
  EXPECT_DOUBLE_EQ(table.at_ms(24), 28);
  EXPECT_DOUBLE_EQ(table.at_ms(32), 36);
  EXPECT_DOUBLE_EQ(fixed_table("h100").at_ms(32), 3.7);
}

TEST(ShippedScenarios, AllLoadInBothForms) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GANTRY_SOURCE_DIR "/examples/scenarios")) {
    for (const Length length : {Length::kFull, Length::kShort}) {
      EXPECT_FALSE(load_scenarios(entry.path(), length).empty()) << entry.path();
    }
    ++files;
  }
  EXPECT_GE(files, 11);
}

}  // namespace
}  // namespace gantry::scheduler::sim
