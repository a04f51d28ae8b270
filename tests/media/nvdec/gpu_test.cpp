// On a card: every frame of real clips against the CPU's decoder, in sessions alone and shared, and how fast it goes.
// Skips itself where there is none. GANTRY_NVDEC_CLIPS may name a folder of further clips.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

#include "gantry/media/memory_clip.hpp"
#include "gantry/media/nvdec.hpp"
#include "gantry/memory/gpu.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

std::uint64_t hash(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t value = 14695981039346656037ULL;
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[i], sizeof word);
    value = (value ^ word) * 1099511628211ULL;
  }
  return value;
}

/// Dense NV12 of a picture in host memory, sides even.
std::vector<std::uint8_t> dense(const Image& image) {
  const auto width = static_cast<std::size_t>(image.width), height = static_cast<std::size_t>(image.height);
  std::vector<std::uint8_t> out(width * height * 3 / 2);
  for (std::size_t y = 0; y < height; ++y)
    std::memcpy(&out[y * width], image.planes[0].data + static_cast<std::ptrdiff_t>(y) * image.planes[0].stride_bytes,
                width);
  std::uint8_t* chroma = &out[width * height];
  for (std::size_t y = 0; y < height / 2; ++y)
    for (std::size_t x = 0; x < width / 2; ++x)
      for (std::size_t c = 0; c < 2; ++c) {
        const auto row = static_cast<std::ptrdiff_t>(y);
        *chroma++ =
            image.format == PixelFormat::kNv12
                ? image.planes[1].data[row * image.planes[1].stride_bytes + static_cast<std::ptrdiff_t>(x * 2 + c)]
                : image.planes[1 + c].data[row * image.planes[1 + c].stride_bytes + static_cast<std::ptrdiff_t>(x)];
      }
  return out;
}

std::unique_ptr<Source> source_of(const testing::fs::path& path) {
  SourceConfig config;
  config.url = path.string();
  return make_source(config);
}

std::vector<std::uint64_t> hashes(const testing::fs::path& path, Decoder& decoder) {
  std::vector<std::uint64_t> all;
  const auto source = source_of(path);
  testing::read_all(*source, decoder, [&](const Frame& frame) {
    if (frame.image.space == MemorySpace::kDevice) {
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(frame.image.width) * frame.image.height * 3 / 2);
      const Result<void> done = frame.pixels.get()->download(pixels.data());
      all.push_back(done ? hash(pixels) : 0);
    } else {
      all.push_back(hash(dense(frame.image)));
    }
  });
  return all;
}

class NvdecGpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      gpu_ = memory::open_gpu(0);
      (void)Nvdec::open(gpu_);
    } catch (const DeviceError& error) {
      GTEST_SKIP() << "no card here: " << error.what();
    }
    for (const auto& folder : {testing::test_data() / "clips", extra()}) {
      std::error_code ignored;
      for (const auto& entry : testing::fs::directory_iterator(folder, ignored)) clips_.push_back(entry.path());
    }
    std::sort(clips_.begin(), clips_.end());
    if (clips_.empty()) GTEST_SKIP() << "needs clips (set GANTRY_TEST_DATA)";
  }
  static testing::fs::path extra() {
    const char* named = std::getenv("GANTRY_NVDEC_CLIPS");
    return named != nullptr ? named : "";
  }

  std::shared_ptr<memory::Gpu> gpu_;
  std::vector<testing::fs::path> clips_;
};

TEST_F(NvdecGpuTest, EveryFrameEqualsTheCpusAloneAndShared) {
  std::printf("%-34s %6s %7s %9s %9s %9s %-14s\n", "clip", "frames", "alone =", "cameras", "sessions",
              "shared =", "placed");
  for (const auto& path : clips_) {
    const auto cpu = make_ffmpeg_decoder({});
    const auto expected = hashes(path, *cpu);
    const auto own = Nvdec::open(gpu_, {.share_sessions = false});
    const auto alone_decoder = own->make_decoder({});
    const auto alone = hashes(path, *alone_decoder);
    const auto equal = [&](const std::vector<std::uint64_t>& found) {
      std::size_t same = 0;
      for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) same += found[i] == expected[i];
      return same;
    };
    EXPECT_EQ(equal(alone), expected.size()) << path;

    constexpr int kCameras = 4;
    const auto nvdec = Nvdec::open(gpu_);
    std::vector<std::unique_ptr<Decoder>> decoders;
    for (int i = 0; i < kCameras; ++i) decoders.push_back(nvdec->make_decoder({}));
    std::vector<std::vector<std::uint64_t>> found(kCameras);
    std::atomic<int> sessions{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kCameras; ++i)
      threads.emplace_back([&, i] {
        std::this_thread::sleep_for(std::chrono::milliseconds(37 * i));
        found[i] = hashes(path, *decoders[i]);
        sessions = std::max(sessions.load(), nvdec->stats().sessions);
      });
    for (auto& thread : threads) thread.join();
    std::size_t shared = 0;
    for (const auto& one : found) {
      EXPECT_EQ(one.size(), expected.size()) << path;
      shared += equal(one);
    }
    EXPECT_EQ(shared, expected.size() * kCameras) << path;
    EXPECT_EQ(nvdec->stats().unlisted, 0);
    std::printf("%-34s %6zu %7zu %9d %9d %9zu %-14s\n", path.filename().c_str(), expected.size(), equal(alone),
                kCameras, sessions.load(), shared, to_string(decoders[0]->stats().reason));
    std::fflush(stdout);
  }
}

/// Cameras that decode the clip over and over as fast as they can; every frame is mapped, as if it were run.
TEST_F(NvdecGpuTest, Rate) {
  const char* wanted = std::getenv("GANTRY_NVDEC_CAMERAS");
  const int cameras = wanted != nullptr ? std::atoi(wanted) : 8;
  std::printf("%-34s %8s %9s %10s %12s %14s\n", "clip", "cameras", "sessions", "open, s", "frames/s", "MiB a camera");
  for (const auto& path : clips_) {
    const auto nvdec = Nvdec::open(gpu_, {.most_load = 0});
    const auto clip = MemoryClip::load(path.string());
    const auto free_before = gpu_->memory().free_bytes;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> frames{0};
    std::atomic<int> started{0};
    std::vector<std::thread> threads;
    const auto begin = std::chrono::steady_clock::now();
    const auto since = [](auto t) {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
    };
    for (int i = 0; i < cameras; ++i)
      threads.emplace_back([&] {
        const auto source = clip->play(1e6, {});
        const auto decoder = nvdec->make_decoder({});
        bool first = true;
        Frame frame;
        while (!stop) {
          auto packet = source->next();
          if (!packet) break;
          if (packet->stream_changed && !decoder->open(source->stream())) break;
          decoder->send(*packet);
          for (DecodeEvent event; (event = decoder->receive(frame)) != DecodeEvent::kNeedPacket;) {
            if (event != DecodeEvent::kFrame) continue;
            if (frame.image.space == MemorySpace::kDevice && frame.map(nullptr)) ++frames;
            if (std::exchange(first, false)) ++started;
            frame = Frame{};
          }
        }
      });
    while (started < cameras && since(begin) < 30) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const double open_seconds = since(begin);
    const auto used = free_before - gpu_->memory().free_bytes;
    const auto before = frames.load();
    const auto measuring = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::seconds(3));
    const double rate = static_cast<double>(frames - before) / since(measuring);
    const NvdecStats stats = nvdec->stats();
    stop = true;
    for (auto& thread : threads) thread.join();
    std::printf("%-34s %8d %9d %10.2f %12.0f %14.1f   refused %llu, map failed %llu\n", path.filename().c_str(),
                cameras, stats.sessions, open_seconds, rate, static_cast<double>(used) / cameras / (1 << 20),
                static_cast<unsigned long long>(stats.refused), static_cast<unsigned long long>(stats.map_failed));
    std::fflush(stdout);
    EXPECT_EQ(started, cameras);
    EXPECT_EQ(stats.refused, 0);
  }
}

}  // namespace
}  // namespace gantry::media
