// optimize() from file to folder on a fake CUDA runtime: what it writes, and that a server starts from it tuned.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cuda/fake_cuda.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/factory.hpp"
#include "gantry/optimize/optimize.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry {
namespace {

namespace fs = std::filesystem;

class OptimizeOnFakeGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("gantry_optimize_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    model_ = (folder_ / "mini.onnx").string();
    std::ofstream(model_, std::ios::binary) << test::mini_yolo({.attention = false}).bytes();
    test::fake_cuda::reset();
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
  std::string model_;
};

TEST_F(OptimizeOnFakeGpu, WritesAFolderThatStartsTuned) {
  const fs::path out = folder_ / "out";
  std::vector<std::string> steps;
  const auto report = optimize({.model = model_,
                                .out = out.string(),
                                .max_batch = 4,
                                .shapes = {{64, 64}, {96, 64}},
                                .progress = [&](const std::string& step) { steps.push_back(step); }});
  EXPECT_EQ(report.device, "Fake GPU");
  EXPECT_EQ(report.profiles.size(), 6U) << "two shapes, batches 1, 2 and 4";
  for (const auto& profile : report.profiles) {
    EXPECT_GT(profile.network_ms, 0);
    EXPECT_GT(profile.latency_mean.count(), 0);
    EXPECT_GT(profile.floor_ms, 0);
    EXPECT_GT(profile.kernels, 0);
    EXPECT_LT(profile.arena_bytes, profile.unshared_bytes);
  }
  EXPECT_EQ(steps.size(), 4U);
  EXPECT_TRUE(fs::exists(out / "mini.onnx"));
  EXPECT_TRUE(fs::exists(report.plan_file));
  EXPECT_EQ(fs::path(report.plan_file).parent_path(), out);
  const auto json = nlohmann::json::parse(std::ifstream(out / "report.json"));
  EXPECT_EQ(json.at("profiles").size(), 6U);
  EXPECT_FALSE(fs::exists(folder_ / "cache")) << "everything belongs into the folder";

  test::fake_cuda::reset();
  engine::ModelOptions options;
  options.path = report.model;
  const auto backend = engine::make_backend(options);
  EXPECT_EQ(backend->capabilities().device, "cuda:0") << "auto must find the card by itself";
  backend->prepare({96, 64}, 4);
  EXPECT_EQ(test::fake_cuda::counts().replays, 0U) << "neither tuning nor measuring: all of it is in the plan file";
  EXPECT_EQ(backend->profiles().size(), 3U);
}

TEST_F(OptimizeOnFakeGpu, AutoTakesTheCpuWhereTheCardCannot) {
  std::ofstream(model_, std::ios::binary) << test::mini_yolo({}).bytes();  // attention of a size without a kernel
  engine::ModelOptions options;
  options.path = model_;
  try {
    EXPECT_EQ(engine::make_backend(options)->capabilities().device, "cpu");
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("no CPU engine"), std::string::npos) << error.what();
  }
  options.device = engine::Device::kCuda;
  EXPECT_THROW(static_cast<void>(engine::make_backend(options)), ModelError);
}

TEST_F(OptimizeOnFakeGpu, SaysWhatItCannotWrite) {
  std::ofstream(folder_ / "file") << "in the way";
  try {
    static_cast<void>(optimize({.model = model_, .out = (folder_ / "file/out").string()}));
    FAIL() << "a file is no folder";
  } catch (const StartupError& error) {
    EXPECT_NE(std::string(error.what()).find("file/out"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gantry
