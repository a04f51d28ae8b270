#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gantry/engine/graph/model.hpp"
#include "gantry/precision/int8.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::precision {
namespace {

namespace fs = std::filesystem;

/// A model that says of itself that it was quantised, and its report.
class ReadinessTest : public testing::Test {
 protected:
  ReadinessTest() {
    std::string name = (fs::temp_directory_path() / "gantry-ready-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
    test::OnnxBuilder builder = test::mini_yolo({});
    write("mini.onnx", builder.bytes());
    builder.metadata("gantry.precision", "int8");
    builder.metadata("gantry.float_hash", "00000000000000ff");
    write("mini-int8.onnx", builder.bytes());
    report_ = {{"status", "ready"},
               {"float_model", "mini.onnx"},
               {"float_hash", "00000000000000ff"},
               {"model_hash", graph::hash_of(builder.bytes())}};
  }
  ~ReadinessTest() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  void write_report() const { write("mini-int8.report.json", report_.dump()); }
  [[nodiscard]] Readiness check() const { return check_ready((folder_ / "mini-int8.onnx").string()); }

  fs::path folder_;
  nlohmann::json report_;
};

TEST_F(ReadinessTest, FloatModelsNeedNoReport) {
  EXPECT_TRUE(check_ready((folder_ / "mini.onnx").string()).ready);
}

TEST_F(ReadinessTest, AReportThatFitsIsEnough) {
  write_report();
  EXPECT_TRUE(check().ready) << check().reason;
}

TEST_F(ReadinessTest, AMissingReportIsRefused) {
  EXPECT_FALSE(check().ready);
  EXPECT_NE(check().reason.find("mini-int8.report.json is missing"), std::string::npos) << check().reason;
}

TEST_F(ReadinessTest, ADamagedReportIsRefused) {
  write("mini-int8.report.json", "{\"status\": \"rea");
  EXPECT_NE(check().reason.find("is damaged"), std::string::npos) << check().reason;
}

TEST_F(ReadinessTest, AReportOfAnotherModelIsRefusedAndTheFloatModelOffered) {
  report_["model_hash"] = "0123456789abcdef";
  write_report();
  EXPECT_NE(check().reason.find("belongs to another model"), std::string::npos) << check().reason;
  EXPECT_EQ(check().fallback, (folder_ / "mini.onnx").string());
}

TEST_F(ReadinessTest, AReportOfAnotherFloatModelIsRefused) {
  report_["float_hash"] = "0123456789abcdef";
  write_report();
  EXPECT_NE(check().reason.find("belongs to another model"), std::string::npos) << check().reason;
}

TEST_F(ReadinessTest, AFailedGateIsRefused) {
  report_["status"] = "refused";
  write_report();
  EXPECT_NE(check().reason.find("did not pass its gate"), std::string::npos) << check().reason;
}

}  // namespace
}  // namespace gantry::precision
