// A sticky CUDA fault on a real card: the back end reports it, answers everybody, and the process lives.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cuda/fault_kernel.hpp"
#include "engine/backend_harness.hpp"
#include "engine/cuda/backend.hpp"
#include "gantry/core/errors.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry {
namespace {

TEST(Fault, TheBackEndFailsAndTheProcessLives) {
  int cards = 0;
  if (cudaGetDeviceCount(&cards) != cudaSuccess || cards == 0) GTEST_SKIP() << "no CUDA device on this machine";
  const auto folder = std::filesystem::path(::testing::TempDir()) / ("gantry_fault_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  ::setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  engine::ModelOptions options;
  options.path = (folder / "mini.onnx").string();
  std::ofstream(options.path, std::ios::binary) << test::mini_yolo({.attention = false}).bytes();
  {
    const auto backend = cuda::make_cuda_backend(options);
    backend->prepare({64, 64}, 2);
    const test::Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
    EXPECT_NO_THROW(static_cast<void>(test::detect(*backend, {&picture, &picture}, {64, 64})));
    EXPECT_FALSE(backend->failed());
    ASSERT_NE(test::break_this_card(), cudaSuccess);
    std::string words;
    for (int i = 0; i < 8; ++i) {
      try {
        static_cast<void>(test::detect(*backend, {&picture}, {64, 64}));
        ADD_FAILURE() << "a broken card answered";
      } catch (const std::runtime_error& error) {
        words = error.what();
      }
    }
    EXPECT_NE(words.find("failed earlier; restart Gantry"), std::string::npos) << words;
    EXPECT_TRUE(backend->failed());
    EXPECT_THROW(backend->prepare({96, 64}, 1), DeviceError);
  }
  EXPECT_THROW(static_cast<void>(cuda::make_cuda_backend(options)), DeviceError) << "and a new one says so too";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gantry
