#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gantry/config/loader.hpp"

namespace gantry::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config base() {
  Config config;
  for (const char* id : {"a", "b", "c"}) config.cameras[id].source = std::string{id} + ".mp4";
  return config;
}

TEST(ConfigChanges, OfEqualFilesAreNone) {
  EXPECT_TRUE(changes(base(), base()).empty());
}

TEST(ConfigChanges, TouchOnlyTheCamerasThatChanged) {
  Config after = base();
  after.cameras.erase("a");
  after.cameras["b"].fps = 5;
  after.cameras["d"].source = "d.mp4";
  const auto found = changes(base(), after);
  EXPECT_THAT(found.removed, ElementsAre("a"));
  EXPECT_THAT(found.adjusted, ElementsAre("b"));
  EXPECT_THAT(found.added, ElementsAre("d"));
  EXPECT_THAT(found.reconnected, IsEmpty());
}

TEST(ConfigChanges, ReconnectOnlyWhereTheStreamChanged) {
  Config after = base();
  after.cameras["b"].source = "elsewhere.mp4";
  after.cameras["c"].read_timeout = std::chrono::seconds{9};
  const auto found = changes(base(), after);
  EXPECT_THAT(found.reconnected, ElementsAre("b", "c"));
  EXPECT_THAT(found.adjusted, IsEmpty());
}

TEST(ConfigChanges, ADisabledCameraIsAbsent) {
  Config after = base();
  after.cameras["a"].enabled = false;
  EXPECT_THAT(changes(base(), after).removed, ElementsAre("a"));
  EXPECT_THAT(changes(after, base()).added, ElementsAre("a"));
}

TEST(ConfigChanges, SayWhatWaitsForTheNextStart) {
  Config after = base();
  after.model.path = "other.onnx";
  after.log.level = LogLevel::kDebug;
  const auto found = changes(base(), after);
  EXPECT_THAT(found.at_start, ElementsAre("model.path"));
  EXPECT_THAT(found.at_once, ElementsAre("log.level"));
}

}  // namespace
}  // namespace gantry::config
