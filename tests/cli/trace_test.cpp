// From a running server to the simulator: serve --record-trace, then a scenario that replays what was recorded.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "cli/program.hpp"

namespace gantry::test {
namespace {

using nlohmann::json;

TEST(Trace, WhatServeRecordsSimulateReplays) {
  const TemporaryFolder folder;
  const auto config = folder.write("gantry.yaml", R"(
results: {jsonl: ""}
log: {status_interval_s: 1}
server: {enabled: false}
cameras:
  north: {source: "scene://junction?size=352x288&fps=10&camera=0", deadline_ms: 1000}
  south: {source: "scene://junction?size=352x288&fps=5&camera=1", deadline_ms: 400, priority: urgent}
)");
  const auto trace = folder / "trace.csv";
  Program serve{{"serve", "-c", config, "--json", "--record-trace", trace}};
  const auto books = [&] {
    std::istringstream status{serve.out()};
    json total{{"received", 0}, {"published", 0}};
    for (std::string reading; std::getline(status, reading);)
      if (!status.eof()) total = json::parse(reading).at("total");
    return total;
  };
  ASSERT_TRUE(serve.wait_for([&] { return books().at("published") >= 10; })) << serve.err();
  serve.signal(SIGTERM);
  ASSERT_EQ(serve.wait(), 0) << serve.err();

  std::istringstream lines{read_text(trace)};
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "camera,at_us,deadline_us,class,shape");
  std::set<std::string> shapes;
  std::map<std::string, std::uint64_t> classes;
  std::uint64_t arrivals = 0;
  std::uint64_t possible = 0;  // that had time left when they came
  while (std::getline(lines, line)) {
    ++arrivals;
    const auto last = line.rfind(',');
    shapes.insert(line.substr(last + 1));
    const auto before = line.rfind(',', last - 1);
    const auto deadline = line.rfind(',', before - 1);
    if (std::stol(line.substr(deadline + 1)) > 50'000) ++possible;
    ++classes[line.substr(before + 1, last - before - 1)];
  }
  EXPECT_NE(serve.err().find("trace: " + std::to_string(arrivals) + " arrivals in " + trace.string()),
            std::string::npos)
      << serve.err();
  EXPECT_EQ(serve.err().find("arrivals are missing"), std::string::npos);
  // Every frame that was published, and none that was never received.
  EXPECT_GE(arrivals, books().at("published").get<std::uint64_t>());
  EXPECT_LE(arrivals, books().at("received").get<std::uint64_t>());

  std::string list;
  for (const auto& shape : shapes) list += (list.empty() ? "" : ", ") + ("{size: " + shape + "}");
  const auto scenario = folder.write("replay.yaml", "name: replay\ntrace: trace.csv\nshapes: [" + list + R"(]
setups:
  - {name: fast, devices: [{table: h100}]}
  - {name: hopeless, devices: [{table: [[1, 2000]]}]}
)");
  Program simulate{{"simulate", scenario, "--json", "--quiet"}};
  ASSERT_EQ(simulate.wait(), 0) << simulate.err();
  const auto result = json::parse(simulate.out());
  ASSERT_EQ(result.size(), 2U) << simulate.out();
  for (const auto& setup : result) {
    const auto& run = setup.at("policies").at(0).at("runs").at(0);
    std::uint64_t offered = 0;
    for (const auto& [name, counts] : run.at("classes").items()) {
      EXPECT_EQ(counts.at("offered"), classes[name]) << name;
      offered += counts.at("offered").get<std::uint64_t>();
    }
    EXPECT_EQ(offered, arrivals);
    const double in_time = run.at("goodput").get<double>() * static_cast<double>(arrivals);
    if (setup.at("setup") == "fast")
      EXPECT_GE(in_time, static_cast<double>(possible) - 0.5);
    else
      EXPECT_EQ(in_time, 0);
  }
}

TEST(Trace, AFileThatCannotBeMadeIsNamed) {
  const TemporaryFolder folder;
  const auto config = folder.write("gantry.yaml", "server: {enabled: false}\ncameras: {}\n");
  Program serve{{"serve", "-c", config, "--record-trace", folder / "nowhere/trace.csv"}};
  EXPECT_EQ(serve.wait(), 2);
  EXPECT_NE(serve.err().find("nowhere/trace.csv: cannot be written"), std::string::npos) << serve.err();
}

}  // namespace
}  // namespace gantry::test
