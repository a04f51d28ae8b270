// A running server on a real card, its cameras decoded there: as two devices of one card of which one drains, and on a
// card that breaks. Skips itself where there is none. The order counts: after the fault nothing in the process can use
// the card any more.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/served_cameras.hpp"
#include "cuda/fault_kernel.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/factory.hpp"
#include "gantry/media/memory_clip.hpp"
#include "gantry/media/source_factory.hpp"
#include "gantry/memory/gpu.hpp"
#include "graph/onnx_builder.hpp"

namespace gantry::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OnACard : public ServedCameras {
 protected:
  static constexpr int kCameras = 16;

  void SetUp() override {
    std::shared_ptr<memory::Gpu> gpu;
    try {
      gpu = memory::open_gpu(0);
      nvdec_.push_back(media::Nvdec::open(gpu, {.share_of_card = 0.5}));
      nvdec_.push_back(media::Nvdec::open(gpu, {.share_of_card = 0.5}));
    } catch (const DeviceError& error) {
      GTEST_SKIP() << "no card here: " << error.what();
    }
    const char* const data = std::getenv("GANTRY_TEST_DATA");
    const std::filesystem::path clip =
        std::filesystem::path(data != nullptr ? data : GANTRY_TEST_DATA_DEFAULT) / "clips/motorway_720p_h264.mp4";
    if (!std::filesystem::exists(clip)) GTEST_SKIP() << "needs " << clip << " (set GANTRY_TEST_DATA)";
    folder_ = std::filesystem::path(::testing::TempDir()) / ("gantry_app_gpu_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    ::setenv("XDG_CACHE_HOME", folder_.c_str(), 1);
    engine::ModelOptions options;
    options.path = (folder_ / "mini.onnx").string();
    options.device = engine::Device::kCuda;
    options.streams = 2;
    std::ofstream(options.path, std::ios::binary) << test::mini_yolo({.attention = false}).bytes();
    media::register_scheme("clip", [play = media::MemoryClip::load(clip.string())](const media::SourceConfig&) {
      return play->play(30, {});
    });
    std::vector<std::unique_ptr<engine::Backend>> backends;
    for (int i = 0; i < 2; ++i) {
      backends.push_back(engine::make_backend(options));
      backends_.push_back(backends.back().get());
      backends.back()->prepare(backends.back()->shape_for(1280, 720), 8);
    }
    serve(
        std::move(backends),
        [](Severity severity, std::string_view text) {
          if (severity >= Severity::kWarning) std::printf("  %.*s\n", static_cast<int>(text.size()), text.data());
        },
        [this](const media::DecoderOptions& decoder, int place) {
          return place < 0 ? media::make_ffmpeg_decoder(decoder)
                           : nvdec_[static_cast<std::size_t>(place)]->make_decoder(decoder);
        },
        "clip://x", kCameras);
  }
  void TearDown() override {
    if (system_) {
      system_->stop();
      const auto totals = system_->totals();
      std::printf("  %llu frames, %llu answered, %llu dropped\n", static_cast<unsigned long long>(totals.received),
                  static_cast<unsigned long long>(totals.published()),
                  static_cast<unsigned long long>(totals.dropped()));
    }
    ServedCameras::TearDown();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::filesystem::path folder_;
  std::vector<std::shared_ptr<media::Nvdec>> nvdec_;
  std::vector<engine::Backend*> backends_;
};

TEST_F(OnACard, TwoDevicesOfOneCardHandTheirCamerasOverWhileTheyRun) {
  EXPECT_EQ(homes()["cuda:0"], kCameras / 2);
  EXPECT_EQ(homes()["cuda:0#2"], kCameras / 2);
  for (int round = 0; round < 3; ++round) {
    const auto asked_at = clock_.now();
    ASSERT_TRUE(system_->drain("cuda:0", true));
    EXPECT_TRUE(eventually([&] { return homes()["cuda:0#2"] == kCameras; }, seconds{2}));
    EXPECT_TRUE(eventually([&] { return answered_since(asked_at + milliseconds{300}) == kCameras; }, seconds{2}));
    ASSERT_TRUE(system_->drain("cuda:0", false));
    EXPECT_TRUE(eventually([&] { return homes()["cuda:0"] >= kCameras / 2 - 1; }));
    std::this_thread::sleep_for(seconds{1});
  }
  const auto totals = system_->totals();
  EXPECT_EQ(totals[Outcome::kDecodeError], 0U) << "a move costs no picture";
  EXPECT_LE(totals[Outcome::kEngineError], 3U * 2 * kCameras * 2) << "but what was on its way to the place before";
  for (const auto& nvdec : nvdec_) EXPECT_EQ(nvdec->stats().refused, 0U);
}

TEST_F(OnACard, AFaultFailsTheCardAndTheServerLives) {
  const auto before = system_->totals().published();
  EXPECT_GT(before, 0U);
  ASSERT_NE(test::break_this_card(), cudaSuccess);
  const auto broken_at = clock_.now();
  EXPECT_TRUE(eventually(
      [&] { return std::all_of(backends_.begin(), backends_.end(), [](const auto* b) { return b->failed(); }); },
      seconds{2}));
  EXPECT_TRUE(eventually(
      [&] {
        const auto report = system_->scheduler_report();
        return std::all_of(report.devices.begin(), report.devices.end(),
                           [](const auto& device) { return device.state == scheduler::DeviceState::kDown; });
      },
      seconds{2}))
      << "which readiness reads";
  EXPECT_LE(clock_.now() - broken_at, seconds{2});
  // The cameras go on: their frames are counted, and nobody answers them.
  const auto received = system_->totals().received;
  EXPECT_TRUE(eventually([&] { return system_->totals().received > received + kCameras; }));
  EXPECT_GT(system_->totals()[Outcome::kEngineError], 0U);
  for (const auto& camera : system_->cameras())
    EXPECT_EQ(camera.frames.received, camera.frames.published() + camera.frames.dropped() + camera.frames.in_flight);
}

}  // namespace
}  // namespace gantry::app
