// What optimize() and its command say without a GPU, and the report's form.
#include "gantry/optimize/optimize.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "gantry/core/errors.hpp"

namespace gantry {
namespace {

using ::testing::HasSubstr;

TEST(Optimize, TheReportHoldsEveryProfile) {
  OptimizeReport report;
  report.model = "out/yolo11n.onnx", report.plan_file = "out/1.plan", report.device = "H100";
  report.driver_version = 13000;
  OptimizedProfile profile;
  profile.shape = {640, 384}, profile.batch = 32, profile.network_ms = 1.015, profile.images_per_second = 31515;
  profile.latency_p99 = std::chrono::milliseconds(7);
  report.profiles = {profile, {}};
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json.at("precision"), "fp16");
  EXPECT_EQ(json.at("driver_version"), 13000);
  ASSERT_EQ(json.at("profiles").size(), 2U);
  EXPECT_EQ(json.at("profiles")[0].at("width"), 640);
  EXPECT_EQ(json.at("profiles")[0].at("batch"), 32);
  EXPECT_DOUBLE_EQ(json.at("profiles")[0].at("network_ms"), 1.015);
  EXPECT_DOUBLE_EQ(json.at("profiles")[0].at("latency_p99_ms"), 7);
}

std::pair<int, std::string> command(const std::string& arguments) {
  FILE* pipe = ::popen((std::string(GANTRY_PROGRAM) + " optimize " + arguments + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> part{};
  while (const std::size_t read = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), read);
  return {WEXITSTATUS(::pclose(pipe)), text};
}

TEST(OptimizeCommand, BadInputIsCodeTwoAndSaysWhat) {
  const std::string out = " --out '" + ::testing::TempDir() + "gantry_optimize_refused'";
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    const auto [code, text] = command(arguments);
    EXPECT_EQ(code, 2) << arguments << ": " << text;
    EXPECT_THAT(text, HasSubstr(words)) << arguments;
  };
  refused("/nowhere.onnx" + out, "/nowhere.onnx");
  refused("/nowhere.onnx", "--out");
  refused("x.onnx --precision int3" + out, "int3");
  refused("x.onnx --max-batch 65" + out, "65");
  refused("x.onnx --device cpu" + out, "'cpu' is no GPU");
  refused("x.onnx --device cuda:x" + out, "cuda:x");
}

}  // namespace
}  // namespace gantry
