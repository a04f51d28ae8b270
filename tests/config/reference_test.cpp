// The shipped documents are what the key table writes.
#include "gantry/config/reference.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "gantry/config/loader.hpp"

namespace gantry::config {
namespace {

std::string file(const std::string& path) {
  std::ifstream stream{GANTRY_SOURCE_DIR "/" + path, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

TEST(ConfigReference, IsShippedAsTheTableWritesIt) {
  EXPECT_EQ(file("docs/configuration.md"), reference_markdown())
      << "run: gantry config reference > docs/configuration.md";
}

TEST(ConfigReference, ExampleIsShippedAsTheTableWritesIt) {
  EXPECT_EQ(file("examples/gantry.yaml"), example_yaml()) << "run: gantry config example > examples/gantry.yaml";
}

TEST(ConfigReference, ExampleShowsEveryKeyWithItsDefault) {
  const Environment environment = [](const std::string&) { return "secret"; };
  Config example = load_text(example_yaml(), "examples/gantry.yaml", environment);
  EXPECT_EQ(example.cameras.size(), 2U);
  EXPECT_EQ(example.cameras.at("north_gate").source, "rtsp://viewer:secret@192.0.2.10/stream1");
  for (CameraConfig* camera : {&example.defaults, &example.cameras.at("north_gate")}) {
    EXPECT_EQ(camera->classes, (std::vector<std::string>{"car", "bus", "truck"}));
    camera->classes.clear();
    camera->source.clear();
  }
  EXPECT_EQ(example.defaults, CameraConfig{});
  EXPECT_EQ(example.cameras.at("north_gate"), CameraConfig{});
  example.cameras.clear();
  EXPECT_EQ(example, Config{});
  for (const auto& key : describe_keys()) {
    const auto name = key.path.substr(key.path.rfind('.') + 1);
    EXPECT_NE(example_yaml().find(" " + name + ": "), std::string::npos) << key.path;
  }
}

TEST(ConfigReference, EveryKeyIsDocumented) {
  for (const auto& key : describe_keys()) {
    EXPECT_FALSE(key.type.empty()) << key.path;
    EXPECT_FALSE(key.fallback.empty()) << key.path;
    ASSERT_FALSE(key.sentence.empty()) << key.path;
    EXPECT_EQ(key.sentence.back(), '.') << key.path;
    EXPECT_EQ(key.type == "number" || key.type == "whole number", !key.range.empty() && key.type.find("auto") != 0)
        << key.path;
  }
}

}  // namespace
}  // namespace gantry::config
