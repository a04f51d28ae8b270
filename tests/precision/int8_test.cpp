// The whole way, on the bundled detector and simulated traffic: no outside data.
#include "gantry/precision/int8.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "gantry/scene/dataset.hpp"

namespace gantry::precision {
namespace {

namespace fs = std::filesystem;

const std::string kModel = std::string(GANTRY_SOURCE_DIR) + "/models/gantry-traffic-n.onnx";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Int8 : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "gantry-int8-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    scene::write_dataset((folder_ / "data").string(), {.count = 48, .seed = 11, .per_sitting = 4, .val_share = 0.35},
                         [](int) {});
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static Int8Options options(const std::string& out) {
    Int8Options options;
    options.model = kModel;
    options.out = (folder_ / out).string();
    options.calibration = {(folder_ / "data/images/train").string()};
    options.samples = 24;
    // Few pictures: what they say of retention is rough, and the tests say themselves how much they want.
    options.min_retention = 0.5;
    options.force = true;
    return options;
  }
  static std::string refusal(const Int8Options& options) {
    try {
      static_cast<void>(optimize_int8(options));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "accepted";
  }
  static inline fs::path folder_;
};

TEST_F(Int8, KeepsWhatTheFloatModelFindsAndIsTheSameEveryTime) {
  Int8Options first = options("first");
  first.labelled = (folder_ / "data").string();
  const Int8Report report = optimize_int8(first);
  ASSERT_TRUE(report.ready) << report.exam << ": retention " << report.measured.retention;
  EXPECT_GE(report.measured.retention, 0.95);
  EXPECT_GT(report.measured.float_score, 0.1);
  EXPECT_EQ(report.tried.size(), 8U);
  EXPECT_LT(fs::file_size(report.model), fs::file_size(kModel));
  const auto ready = check_ready(report.model);
  EXPECT_TRUE(ready.ready) << ready.reason;
  const auto json = nlohmann::json::parse(read(folder_ / "first/gantry-traffic-n-int8.report.json"));
  EXPECT_EQ(json["status"], "ready");
  EXPECT_EQ(json["layers"].size(), report.layers.size());
  EXPECT_NE(read(folder_ / "first/gantry-traffic-n-int8.layers.svg").find("</svg>"), std::string::npos);

  // Without labels the gate asks the float model; what is quantised is the same.
  Int8Options second = first;
  second.out = (folder_ / "second").string();
  second.labelled.clear();
  const Int8Report again = optimize_int8(second);
  EXPECT_EQ(again.exam.find("agreement"), 0U) << again.exam;
  ASSERT_TRUE(again.ready) << again.exam << ": retention " << again.measured.retention;
  EXPECT_EQ(read(report.model), read(again.model));
}

TEST_F(Int8, AGateBelowWhatUsersNoticeNeedsForce) {
  Int8Options low = options("low");
  low.min_retention = 0.9;
  low.force = false;
  EXPECT_NE(refusal(low).find("--force"), std::string::npos) << refusal(low);
}

TEST_F(Int8, TooFewPicturesAreRefused) {
  Int8Options one = options("one");
  one.calibration = {fs::directory_iterator(folder_ / "data/images/train")->path().string()};
  EXPECT_NE(refusal(one).find("1 calibration picture"), std::string::npos) << refusal(one);
}

TEST_F(Int8, MissingInputsAreNamed) {
  Int8Options missing = options("missing");
  missing.calibration = {"/nowhere/at/all"};
  EXPECT_NE(refusal(missing).find("/nowhere/at/all"), std::string::npos) << refusal(missing);
}

}  // namespace
}  // namespace gantry::precision
