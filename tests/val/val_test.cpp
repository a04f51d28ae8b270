// gantry val as a user runs it, against what pycocotools says of the same models.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
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

TEST(Val, FaultsNameTheFileAndExitWithTwo) {
  const Ran missing = run("--data /nowhere --predictions /nowhere.jsonl 2>&1");
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.output, "gantry: /nowhere: no such file or folder\n");
}

}  // namespace
}  // namespace gantry
