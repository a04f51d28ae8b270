// The whole way, on the bundled detector and simulated traffic: no outside data.
#include "gantry/precision/int8.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>

#include "gantry/engine/graph/check.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "gantry/media/jpeg.hpp"
#include "gantry/scene/dataset.hpp"
#include "support/pictures.hpp"

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
  /// Copies the training pictures to `name`, each changed first.
  static std::string changed_pictures(const std::string& name, const std::function<void(test::Picture&)>& change) {
    const fs::path out = folder_ / name;
    fs::create_directories(out);
    media::JpegEncoder encoder;
    std::vector<std::uint8_t> bytes;
    for (const auto& file : fs::directory_iterator(folder_ / "data/images/train")) {
      test::Picture picture = test::read_jpeg(file.path());
      change(picture);
      EXPECT_TRUE(encoder.encode(picture.view(), 90, bytes));
      std::ofstream(out / file.path().filename(), std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    return out.string();
  }
  /// What a refusal leaves behind must not pass for a model.
  static bool wrote_a_model(const std::string& out) { return fs::exists(folder_ / out / "gantry-traffic-n-int8.onnx"); }
  static void keeps_what_the_float_model_finds(const Int8Report& report);
  static void runs_on_the_cpu_executor(const Int8Report& report);
  static void same_but_for_clock_and_exam(const Int8Report& one, const Int8Report& other);
  static void is_refused_with_another_models_report(const Int8Report& report);
  static inline fs::path folder_;
};

void Int8::keeps_what_the_float_model_finds(const Int8Report& report) {
  ASSERT_TRUE(report.ready) << report.exam << ": retention " << report.measured.retention;
  EXPECT_GE(report.measured.retention, 0.95);
  EXPECT_GT(report.measured.float_score, 0.1);
  EXPECT_EQ(report.tried.size(), 8U);
  EXPECT_LT(fs::file_size(report.model), fs::file_size(kModel));
  const auto ready = check_ready(report.model);
  EXPECT_TRUE(ready.ready) << ready.reason;
  const auto json = nlohmann::json::parse(read(report.report_file));
  EXPECT_EQ(json["status"], "ready");
  EXPECT_EQ(json["layers"].size(), report.layers.size());
}

void Int8::runs_on_the_cpu_executor(const Int8Report& report) {
  const graph::Model model = graph::Model::load(report.model);
  const engine::InputShape shape{320, 192};
  graph::PlanOptions options;
  options.quantized = true;
  const graph::Plan plan = make_plan(model, shape, options);
  const auto pictures = graph::drawn_images(shape, 1);
  const graph::LayerCheck check(model, plan, pictures, 1);
  std::size_t rounded = 0;
  std::size_t beyond = 0;
  // Each op on the file's own values: along so deep a network, sums that round to other sides grow into other steps.
  for (const auto& error : graph::check_on_cpu(check, plan, pictures, 1, graph::CheckMode::kIsolated)) {
    rounded += error.rounded;
    beyond += error.beyond_a_step;
  }
  EXPECT_GT(rounded, 1'000'000U);
  EXPECT_LE(beyond, rounded / 1000);
}

void Int8::same_but_for_clock_and_exam(const Int8Report& one, const Int8Report& other) {
  EXPECT_EQ(read(one.model), read(other.model));
  const auto plot = [](const Int8Report& report) {
    return read(fs::path(report.model).replace_extension(".layers.svg"));
  };
  EXPECT_EQ(plot(one), plot(other));
  EXPECT_NE(plot(one).find("</svg>"), std::string::npos);
  auto said = nlohmann::json::parse(read(one.report_file));
  auto said_again = nlohmann::json::parse(read(other.report_file));
  for (auto* report : {&said, &said_again})
    for (const char* key : {"gate", "pictures_per_second"}) report->erase(key);
  EXPECT_EQ(said, said_again);
}

/// Two models of one name, quantised and reported in the same way; only a word of the files differs.
void Int8::is_refused_with_another_models_report(const Int8Report& report) {
  const fs::path other = folder_ / "other";
  fs::create_directories(other);
  std::string bytes = read(report.model);
  const std::string word = "YOLO11";
  ASSERT_NE(bytes.find(word), std::string::npos) << "in the file's metadata";
  bytes.replace(bytes.find(word), word.size(), "YOLO12");
  const fs::path model = other / fs::path(report.model).filename();
  std::ofstream(model, std::ios::binary) << bytes;
  EXPECT_NE(check_ready(model.string()).reason.find("is missing"), std::string::npos);
  fs::copy_file(report.report_file, other / fs::path(report.report_file).filename());
  const Readiness copied = check_ready(model.string());
  EXPECT_FALSE(copied.ready);
  EXPECT_NE(copied.reason.find("belongs to another model"), std::string::npos) << copied.reason;
}

// One test: each of its two runs takes most of a minute.
TEST_F(Int8, TheWholeWay) {
  Int8Options first = options("first");
  first.labelled = (folder_ / "data").string();
  const Int8Report report = optimize_int8(first);
  ASSERT_NO_FATAL_FAILURE(keeps_what_the_float_model_finds(report));
  runs_on_the_cpu_executor(report);

  // Without labels the gate asks the float model; what is quantised is the same.
  const Int8Report again = optimize_int8(options("again"));
  EXPECT_EQ(again.exam.find("agreement"), 0U) << again.exam;
  ASSERT_TRUE(again.ready) << again.exam << ": retention " << again.measured.retention;
  same_but_for_clock_and_exam(report, again);

  is_refused_with_another_models_report(report);
  Int8Options twice = options("twice");
  twice.model = report.model;
  EXPECT_NE(refusal(twice).find("is quantised already"), std::string::npos) << refusal(twice);
  EXPECT_TRUE(fs::is_empty(folder_ / "twice"));
}

TEST_F(Int8, BlackPicturesAreRefused) {
  Int8Options black = options("black");
  black.calibration = {changed_pictures("black-pictures", [](test::Picture& picture) {
    std::fill(picture.bytes.begin(), picture.bytes.end(), std::uint8_t{0});
  })};
  EXPECT_NE(refusal(black).find("calibration pictures are blank"), std::string::npos) << refusal(black);
  EXPECT_FALSE(wrote_a_model("black"));
}

TEST_F(Int8, PicturesInTheWrongColourOrderAreRefused) {
  Int8Options swapped = options("swapped");
  swapped.calibration = {changed_pictures(
      "swapped-pictures", [](test::Picture& picture) { picture.format = PixelFormat::kRgb24; })};  // bytes are B, G, R
  EXPECT_NE(refusal(swapped).find("red and blue exchanged"), std::string::npos) << refusal(swapped);
  EXPECT_FALSE(wrote_a_model("swapped"));
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
  EXPECT_NE(refusal(one).find("1 calibration picture:"), std::string::npos) << refusal(one);
  EXPECT_FALSE(wrote_a_model("one"));
}

TEST_F(Int8, MissingInputsAreNamed) {
  Int8Options missing = options("missing");
  missing.calibration = {"/nowhere/at/all"};
  EXPECT_NE(refusal(missing).find("/nowhere/at/all"), std::string::npos) << refusal(missing);
}

}  // namespace
}  // namespace gantry::precision
