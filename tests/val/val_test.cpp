// gantry val as a user runs it, against what pycocotools says of the same models.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "support/temporary_folder.hpp"
#include "support/test_data.hpp"

namespace gantry {
namespace {

using nlohmann::json;
using test::test_data;

struct Ran {
  int exit_code = -1;
  std::string output;  ///< standard output
};

Ran run(const std::string& arguments) {
  Ran result;
  std::FILE* pipe = popen((GANTRY_PROGRAM " val " + arguments).c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    result.output.append(buffer, count);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

void expect_map(const char* model, double map50_95, double map50) {
  const test::TemporaryFolder folder;
  const std::string saved = folder.file("results.json");
  const Ran ran = run("--json --data " + test_data("coco_val").string() + " --model " + test_data(model).string() +
                      " --device cpu --save-json " + saved + " 2>/dev/null");
  ASSERT_EQ(ran.exit_code, 0);
  const json score = json::parse(ran.output);
  EXPECT_EQ(score["images"], 160);
  EXPECT_NEAR(score["map50_95"], map50_95, 0.002);
  EXPECT_NEAR(score["map50"], map50, 0.002);
  EXPECT_FALSE(score["classes"].empty());
  EXPECT_GT(json::parse(std::ifstream(saved)).size(), 160);
}

TEST(Val, Float32HasTheMapOfPycocotools) {
  GANTRY_NEEDS_DATA("coco_val");
  expect_map("weights/yolo11n.onnx", 0.4110, 0.5646);
}

TEST(Val, Int8HasTheMapOfPycocotools) {
  GANTRY_NEEDS_DATA("coco_val");
  // Measured on AVX2; int8 kernels differ a little by processor.
  expect_map("weights/yolo11n_int8_openvino", 0.4109, 0.5617);
}

/// One picture a prediction file has an answer to: five pictures with a box each, half a picture wide.
class ValCompare : public testing::Test {
 protected:
  ValCompare() {
    for (int i = 0; i < kPictures; ++i) {
      write("data/images/" + std::to_string(i) + ".jpg", "not read");
      write("data/labels/" + std::to_string(i) + ".txt", i % 2 == 0 ? "0 0.5 0.5 0.5 0.5\n" : "1 0.5 0.5 0.1 0.1\n");
    }
    write_answers("good.jsonl", kPictures);
    write_answers("bad.jsonl", kPictures / 2);
  }
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = folder_.file(name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  /// Finds the box on the first `right` pictures and nothing on the others.
  void write_answers(const std::string& name, int right) const {
    std::string text;
    for (int i = 0; i < kPictures; ++i) {
      const double half = i % 2 == 0 ? 50 : 10;
      json detections = json::array();
      if (i < right)
        detections.push_back({{"class_id", i % 2},
                              {"class", "thing"},
                              {"confidence", 0.9},
                              {"box", {100 - half, 100 - half, 100 + half, 100 + half}}});
      text +=
          json{{"camera", std::to_string(i)}, {"seq", i}, {"width", 200}, {"height", 200}, {"detections", detections}}
              .dump() +
          "\n";
    }
    write(name, text);
  }
  [[nodiscard]] Ran compare(const std::string& first, const std::string& second, const std::string& more = "") const {
    return run("--data " + folder_.file("data") + " --compare " + folder_.file(first) + " " + folder_.file(second) +
               " " + more + " 2>&1");
  }
  static constexpr int kPictures = 12;
  test::TemporaryFolder folder_;
};

TEST_F(ValCompare, EqualAnswersDifferByNothing) {
  const Ran ran = compare("good.jsonl", "good.jsonl", "--json");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  const json result = json::parse(ran.output);
  EXPECT_EQ(result["images"], kPictures);
  EXPECT_NEAR(result["map50_95"]["first"], 1, 1e-9);
  EXPECT_EQ(result["map50_95"]["difference"], 0);
  EXPECT_EQ(result["map50_95"]["interval"], json({0.0, 0.0}));
  EXPECT_EQ(result["retention"]["value"], 1);
}

TEST_F(ValCompare, LossShowsByClassAndBySizeInJson) {
  const Ran ran = compare("good.jsonl", "bad.jsonl", "--json");
  ASSERT_EQ(ran.exit_code, 0) << ran.output;
  const json result = json::parse(ran.output);
  EXPECT_NEAR(result["map50_95"]["difference"], 51.0 / 101 - 1, 1e-6);  // half of the boxes: 51 of 101 recalls
  EXPECT_LT(result["map50_95"]["interval"][1], 0);
  ASSERT_EQ(result["classes"].size(), 2U);
  for (const json& one : result["classes"]) EXPECT_NEAR(one["map50_95"]["second"], 51.0 / 101, 1e-6);
  EXPECT_NEAR(result["map_small"]["second"], 51.0 / 101, 1e-6);
  EXPECT_TRUE(result["map_medium"].is_null()) << "there are none";
  EXPECT_NEAR(result["map_large"]["second"], 51.0 / 101, 1e-6);
  EXPECT_NEAR(result["retention"]["value"], 51.0 / 101, 1e-6);
  EXPECT_EQ(compare("good.jsonl", "bad.jsonl", "--json").output, ran.output) << "the same every time";
}

TEST_F(ValCompare, TheTableSaysWhetherItMayBeChance) {
  const Ran loss = compare("good.jsonl", "bad.jsonl");
  ASSERT_EQ(loss.exit_code, 0) << loss.output;
  EXPECT_NE(loss.output.find("-0.4950"), std::string::npos) << loss.output;
  EXPECT_NE(loss.output.find("the difference is more than chance"), std::string::npos) << loss.output;
  const Ran same = compare("good.jsonl", "good.jsonl");
  EXPECT_NE(same.output.find("the difference may be chance"), std::string::npos) << same.output;
}

TEST_F(ValCompare, AnswersToOtherFilesAreRefused) {
  std::ifstream good(folder_.file("good.jsonl"));
  std::string other{std::istreambuf_iterator<char>(good), {}};
  other.replace(other.find("\"width\":200"), 11, "\"width\":400");
  write("other.jsonl", other);
  const Ran ran = compare("good.jsonl", "other.jsonl");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_NE(ran.output.find("200x200"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("400x200"), std::string::npos) << ran.output;
}

TEST(Val, FaultsNameTheFileAndExitWithTwo) {
  const Ran missing = run("--data /nowhere --predictions /nowhere.jsonl 2>&1");
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.output, "gantry: /nowhere: no such file or folder\n");
}

}  // namespace
}  // namespace gantry
