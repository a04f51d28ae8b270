// On a card: every frame of real clips against the CPU's decoder, in sessions alone and shared, and how fast it goes.
// Skips itself where there is none. GANTRY_NVDEC_CLIPS may name a folder of further clips.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <thread>

#include "gantry/media/memory_clip.hpp"
#include "gantry/media/nvdec.hpp"
#include "gantry/memory/gpu.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

/// A picture as tests compare it. Codecs whose standard leaves the decoder's arithmetic open keep their pixels.
struct Shown {
  std::uint64_t hash = 0;
  std::vector<std::uint8_t> pixels;
};

Shown shown(std::vector<std::uint8_t> bytes, bool keep_pixels) {
  Shown picture{14695981039346656037ULL, {}};
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[i], sizeof word);
    picture.hash = (picture.hash ^ word) * 1099511628211ULL;
  }
  if (keep_pixels) picture.pixels = std::move(bytes);
  return picture;
}

/// Bit by bit; JPEG's inverse transform may round otherwise, by as much as makes two steps of brightness.
bool same(const Shown& a, const Shown& b) {
  constexpr int kRounding = 2;
  if (a.hash == b.hash) return true;
  return !a.pixels.empty() && a.pixels.size() == b.pixels.size() &&
         std::equal(a.pixels.begin(), a.pixels.end(), b.pixels.begin(),
                    [](int x, int y) { return std::abs(x - y) <= kRounding; });
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

/// Everything that comes of the clip, by time stamp. @param lost packets that never arrive, counted from 0
std::map<Duration, Shown> pictures_of(const testing::fs::path& path, Decoder& decoder,
                                      const std::function<bool(int)>& lost = {}) {
  std::map<Duration, Shown> all;
  const auto source = source_of(path);
  const auto drain = [&] {
    Frame frame;
    for (DecodeEvent event; (event = decoder.receive(frame)) != DecodeEvent::kNeedPacket;) {
      if (event != DecodeEvent::kFrame) continue;
      const bool keep = source->stream().codec == "mjpeg";
      if (frame.image.space == MemorySpace::kDevice) {
        const auto width = static_cast<std::size_t>(frame.image.width + 1) / 2 * 2;
        const auto height = static_cast<std::size_t>(frame.image.height + 1) / 2 * 2;
        std::vector<std::uint8_t> pixels(width * height * 3 / 2);
        if (frame.pixels.get()->download(pixels.data())) all[frame.pts] = shown(std::move(pixels), keep);
      } else {
        all[frame.pts] = shown(dense(frame.image), keep);
      }
      frame = Frame{};
    }
  };
  bool open = false;
  for (int number = 0;; ++number) {
    auto packet = source->next();
    if (!packet || packet->stream_changed) {
      if (open) {
        decoder.finish();
        drain();
      }
      if (!packet) return all;
      EXPECT_TRUE(decoder.open(source->stream())) << path;
      open = true;
    }
    if (lost && lost(number)) continue;
    decoder.send(*packet);
    drain();
  }
}

std::size_t count_same(const std::map<Duration, Shown>& expected, const std::map<Duration, Shown>& found) {
  return static_cast<std::size_t>(std::count_if(expected.begin(), expected.end(), [&](const auto& picture) {
    const auto other = found.find(picture.first);
    return other != found.end() && same(picture.second, other->second);
  }));
}

/// Several cameras of a clip at once, each on a thread of its own and a little later than the one before.
struct Together {
  std::vector<std::map<Duration, Shown>> found;
  int sessions = 0;
  DecodeReason placed = DecodeReason::kOnlyPlace;
};
Together play_together(const std::shared_ptr<Nvdec>& nvdec, const testing::fs::path& path, int cameras,
                       const std::function<bool(int camera, int packet)>& lost = {}) {
  Together result;
  result.found.resize(static_cast<std::size_t>(cameras));
  std::vector<std::unique_ptr<Decoder>> decoders;
  for (int i = 0; i < cameras; ++i) decoders.push_back(nvdec->make_decoder({}));
  std::atomic<int> sessions{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < cameras; ++i)
    threads.emplace_back([&, i] {
      const auto at = static_cast<std::size_t>(i);
      std::this_thread::sleep_for(std::chrono::milliseconds(37 * i));
      result.found[at] =
          pictures_of(path, *decoders[at], [&](int packet) { return lost != nullptr && lost(i, packet); });
      sessions = std::max(sessions.load(), nvdec->stats().sessions);
    });
  for (auto& thread : threads) thread.join();
  result.sessions = sessions;
  result.placed = decoders.front()->stats().reason;
  return result;
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
    const auto expected = pictures_of(path, *make_ffmpeg_decoder({}));
    const auto own = Nvdec::open(gpu_, {.share_sessions = false});
    const std::size_t alone = count_same(expected, pictures_of(path, *own->make_decoder({})));
    EXPECT_EQ(alone, expected.size()) << path;

    constexpr int kCameras = 4;
    const auto nvdec = Nvdec::open(gpu_);
    const Together together = play_together(nvdec, path, kCameras);
    std::size_t shared = 0;
    for (const auto& one : together.found) {
      EXPECT_EQ(one.size(), expected.size()) << path;
      shared += count_same(expected, one);
    }
    EXPECT_EQ(shared, expected.size() * kCameras) << path;
    EXPECT_EQ(nvdec->stats().unlisted, 0);
    std::printf("%-34s %6zu %7zu %9d %9d %9zu %-14s\n", path.filename().c_str(), expected.size(), alone, kCameras,
                together.sessions, shared, to_string(together.placed));
    std::fflush(stdout);
  }
}

/// A camera that loses packets may show damage until its next key frame, and nobody else in its session anything.
TEST_F(NvdecGpuTest, LostPacketsHarmOnlyTheirCamera) {
  constexpr int kCameras = 4;
  const auto lost = [](int camera, int packet) { return camera % 2 == 1 && packet % 41 == 17 + camera; };
  std::printf("%-34s %8s %10s %8s %22s\n", "clip", "sessions", "others =", "of", "losers = alone's, of");
  for (const auto& path : clips_) {
    const auto whole = pictures_of(path, *make_ffmpeg_decoder({}));
    const auto nvdec = Nvdec::open(gpu_);
    const Together together = play_together(nvdec, path, kCameras, lost);
    const auto own = Nvdec::open(gpu_, {.share_sessions = false});
    std::size_t others = 0, same_as_alone = 0, of = 0;
    for (int camera = 0; camera < kCameras; ++camera) {
      const auto& found = together.found[static_cast<std::size_t>(camera)];
      if (camera % 2 == 0) {
        others += count_same(whole, found);
        continue;
      }
      const auto alone = pictures_of(path, *own->make_decoder({}), [&](int packet) { return lost(camera, packet); });
      EXPECT_EQ(found.size(), alone.size()) << path;
      same_as_alone += count_same(alone, found);
      of += alone.size();
      EXPECT_GE(count_same(whole, found), count_same(whole, alone)) << path << ": sharing spoilt whole pictures";
    }
    EXPECT_EQ(others, whole.size() * kCameras / 2) << path;
    std::printf("%-34s %8d %10zu %8zu %14zu, %6zu\n", path.filename().c_str(), together.sessions, others,
                whole.size() * kCameras / 2, same_as_alone, of);
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
