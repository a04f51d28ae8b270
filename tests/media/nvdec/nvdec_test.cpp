// Decoding on a card, with a card and a decoder library that are not there.
#include "gantry/media/nvdec.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "gantry/memory/budget.hpp"
#include "gantry/memory/fake_gpu.hpp"
#include "media/nvdec/card.hpp"
#include "media/nvdec/fake_nvcuvid.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using testing::FakeNvcuvid;
using testing::ffmpeg;
using testing::TemporaryFolder;

constexpr const char* kCamera = "-c:v libx264 -bf 0 -refs 1 -g 10";
constexpr const char* kCameraHevc = "-c:v libx265 -x265-params log-level=none:bframes=0:ref=1:keyint=10:min-keyint=10";

/// A camera whose packets the test hands over one by one.
struct Camera {
  Camera(const std::shared_ptr<Nvdec>& nvdec, const testing::fs::path& path, bool verify = false)
      : decoder(nvdec->make_decoder({.threads = 1, .verify = verify})) {
    SourceConfig config;
    config.url = path.string();
    source = make_source(config);
  }
  /// One packet; the frames and other answers that came of it. False at the end.
  bool step() {
    Result<Packet> packet = source->next();
    if (!packet) {
      if (open) decoder->finish();
      drain();
      return false;
    }
    if (packet->stream_changed) {
      if (open) {
        decoder->finish();
        drain();
      }
      const Result<void> opened = decoder->open(source->stream());
      EXPECT_TRUE(opened) << opened.error().message;
      open = true;
    }
    ++packets;
    decoder->send(*packet);
    drain();
    return true;
  }
  void drain() {
    Frame frame;
    for (DecodeEvent event; (event = decoder->receive(frame)) != DecodeEvent::kNeedPacket;) {
      if (event == DecodeEvent::kFrame) {
        ++frames;
        take(std::move(frame));
        frame = Frame{};
      }
      lost += event == DecodeEvent::kLost;
    }
  }
  void take(Frame&& frame) {
    sizes.emplace_back(frame.image.width, frame.image.height);
    if (frame.image.space != MemorySpace::kDevice) {
      ++on_cpu;
      return;
    }
    if (keep) {
      kept.push_back(std::move(frame));
      return;
    }
    const Result<void> mapped = frame.map(nullptr);
    EXPECT_TRUE(mapped) << mapped.error().message;
    std::uint64_t content = 0;
    if (mapped) std::memcpy(&content, frame.image.planes[0].data, sizeof content);
    contents.push_back(content);
  }
  void run() {
    while (step()) {
    }
  }

  std::unique_ptr<Source> source;
  std::unique_ptr<Decoder> decoder;
  bool open = false, keep = false;
  int packets = 0, frames = 0, lost = 0, on_cpu = 0;
  std::vector<std::uint64_t> contents;
  std::vector<std::pair<int, int>> sizes;
  std::vector<Frame> kept;
};

class NvdecTest : public ::testing::Test {
 protected:
  std::shared_ptr<Nvdec> open(NvdecOptions options = {}) { return Nvdec::open(gpu_, cuvid_, options); }
  testing::fs::path clip(const std::string& options, const std::string& name = "clip.mp4",
                         const std::string& size = "320x192") {
    const auto path = folder_ / name;
    EXPECT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=" + size + ":rate=10:duration=3 -pix_fmt yuv420p " + options + " " +
                       path.string()));
    return path;
  }
  std::uint64_t choices(const Nvdec& nvdec, DecodeReason reason) {
    return nvdec.stats().choices[static_cast<std::size_t>(reason)];
  }

  TemporaryFolder folder_;
  std::shared_ptr<memory::FakeGpu> gpu_ = std::make_shared<memory::FakeGpu>();
  std::shared_ptr<FakeNvcuvid> cuvid_ = std::make_shared<FakeNvcuvid>();
};

TEST_F(NvdecTest, EveryPacketGivesItsFrameAtOnce) {
  const auto nvdec = open();
  for (const auto& path : {clip(kCamera), clip(kCamera, "clip.h264"), clip(kCameraHevc, "hevc.mp4")}) {
    Camera camera(nvdec, path);
    for (int i = 1; camera.step(); ++i) EXPECT_EQ(camera.frames, i);
    EXPECT_EQ(camera.frames, 30);
    EXPECT_EQ(camera.lost, 0);
    EXPECT_EQ(camera.on_cpu, 0);
    EXPECT_EQ(camera.decoder->stats().place, DecodePlace::kGpu);
    EXPECT_EQ(camera.decoder->stats().reason, DecodeReason::kShared);
  }
  EXPECT_EQ(cuvid_->sessions(), 0);
  EXPECT_EQ(nvdec->stats().decoded, 90);
  EXPECT_EQ(nvdec->stats().mapped, 90);
}

TEST_F(NvdecTest, FramesSayWhatTheyAre) {
  const auto nvdec = open();
  Camera camera(nvdec, clip(std::string(kCamera) + " -colorspace bt709 -color_range pc"));
  camera.keep = true;
  camera.step();
  ASSERT_EQ(camera.kept.size(), 1);
  Frame& frame = camera.kept[0];
  EXPECT_EQ(frame.image.width, 320);
  EXPECT_EQ(frame.image.height, 192);
  EXPECT_EQ(frame.image.format, PixelFormat::kNv12);
  EXPECT_EQ(frame.image.space, MemorySpace::kDevice);
  EXPECT_EQ(frame.image.device, 0);
  EXPECT_EQ(frame.image.planes[0].data, nullptr) << "nothing is fetched before somebody runs it";
  EXPECT_EQ(nvdec->stats().mapped, 0);
  ASSERT_TRUE(frame.map(nullptr));
  EXPECT_EQ(frame.image.planes[0].stride_bytes, 512);
  EXPECT_EQ(frame.image.planes[1].data - frame.image.planes[0].data, 512 * 192);
  ASSERT_TRUE(frame.map(nullptr));
  EXPECT_EQ(nvdec->stats().mapped, 1);
  std::vector<std::uint8_t> host(320 * 192 * 3 / 2);
  ASSERT_TRUE(frame.pixels.get()->download(host.data()));
  EXPECT_EQ(std::memcmp(host.data(), frame.image.planes[0].data, 320), 0);
}

TEST_F(NvdecTest, FourCamerasShareASessionAndGetTheirOwnPictures) {
  const auto own = open({.share_sessions = false});
  for (const char* options : {kCamera, "-c:v libx264 -bf 0 -refs 2 -g 10", kCameraHevc,
                              "-c:v libx265 -x265-params log-level=none:bframes=0:ref=3:keyint=10:min-keyint=10"}) {
    const auto path = clip(options);
    Camera alone(own, path);
    alone.run();
    ASSERT_EQ(alone.contents.size(), 30) << options;
    EXPECT_EQ(alone.decoder->stats().reason, DecodeReason::kOwnSession);

    const auto nvdec = open();
    std::vector<std::unique_ptr<Camera>> cameras;
    for (int i = 0; i < 4; ++i) cameras.push_back(std::make_unique<Camera>(nvdec, path));
    // Each starts a few packets behind the one before, so that they never are at the same picture.
    bool more = true;
    for (int round = 0; more; ++round) {
      more = false;
      for (int i = 0; i < 4; ++i)
        if (round >= i * 3) more = cameras[static_cast<std::size_t>(i)]->step() || more;
      if (round != 12) continue;
      EXPECT_LE(nvdec->stats().sessions, 2) << options;
      EXPECT_EQ(nvdec->stats().cameras_shared, 4) << options;
    }
    for (const auto& camera : cameras) EXPECT_EQ(camera->contents, alone.contents) << options;
    EXPECT_EQ(nvdec->stats().unlisted, 0) << options;
  }
}

TEST_F(NvdecTest, StreamsThatCannotShareGetASessionEach) {
  const auto nvdec = open();
  const auto path = clip("-c:v libx264 -bf 2 -refs 3 -g 10");
  Camera one(nvdec, path), two(nvdec, path);
  one.step();
  two.step();
  EXPECT_EQ(cuvid_->sessions(), 2);
  EXPECT_EQ(nvdec->stats().cameras_alone, 2);
  one.run();
  EXPECT_EQ(one.frames + one.lost, 30);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kOwnSession), 2);
}

TEST_F(NvdecTest, DifferentSizesAndCodecsDoNotShare) {
  const auto nvdec = open();
  Camera small(nvdec, clip(kCamera)), large(nvdec, clip(kCamera, "large.mp4", "640x384")),
      hevc(nvdec, clip(kCameraHevc, "hevc.mp4")), same(nvdec, clip(kCamera, "again.mp4"));
  for (Camera* camera : {&small, &large, &hevc, &same}) camera->step();
  EXPECT_EQ(cuvid_->sessions(), 3);
}

TEST_F(NvdecTest, ACameraThatLeavesMakesRoom) {
  const auto nvdec = open();
  const auto path = clip(kCamera);
  auto one = std::make_unique<Camera>(nvdec, path);
  Camera two(nvdec, path);
  one->step();
  two.step();
  one.reset();
  Camera three(nvdec, path);
  three.run();
  two.run();
  EXPECT_EQ(three.contents, two.contents);
  EXPECT_EQ(cuvid_->sessions_made(), 1);
}

TEST_F(NvdecTest, WithoutSessionsLeftTheCpuDecodesFromTheFirstFrame) {
  cuvid_->most_sessions = 1;
  const auto nvdec = open({.share_sessions = false});
  const auto path = clip(kCamera);
  Camera first(nvdec, path), second(nvdec, path);
  first.step();
  second.run();
  first.run();
  EXPECT_EQ(second.frames, 30);
  EXPECT_EQ(second.on_cpu, 30);
  EXPECT_EQ(second.lost, 0);
  EXPECT_EQ(second.decoder->stats().place, DecodePlace::kCpu);
  EXPECT_EQ(second.decoder->stats().reason, DecodeReason::kSessionsUsedUp);
  EXPECT_EQ(first.on_cpu, 0);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kSessionsUsedUp), 1);
  EXPECT_EQ(nvdec->stats().sessions_refused, 1);
}

TEST_F(NvdecTest, WhatTheCardDoesNotKnowGoesToTheCpu) {
  const auto nvdec = open();
  Camera mpeg4(nvdec, clip("-c:v mpeg4")), ten_bit(nvdec, clip("-c:v libx264 -pix_fmt yuv420p10 -bf 0", "ten.mp4")),
      tiny(nvdec, clip(kCamera, "tiny.mp4", "32x32"));
  for (Camera* camera : {&mpeg4, &ten_bit, &tiny}) {
    camera->run();
    EXPECT_EQ(camera->frames, 30);
    EXPECT_EQ(camera->on_cpu, 30);
  }
  EXPECT_EQ(choices(*nvdec, DecodeReason::kCodec), 2);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kSize), 1);
  EXPECT_EQ(cuvid_->sessions_made(), 0);
}

TEST(ReckonedLoad, IsWhatWasMeasuredOnACard) {
  const double small = reckoned_load(VideoCodec::kH264, 1280, 720, 30);
  EXPECT_DOUBLE_EQ(small, 30);
  EXPECT_NEAR(11'190 / small, 373, 1);
  EXPECT_NEAR(11'190 / reckoned_load(VideoCodec::kH264, 1920, 1080, 30), 180, 1);
  EXPECT_NEAR(11'190 / reckoned_load(VideoCodec::kHevc, 1280, 720, 30), 542, 1);
  EXPECT_DOUBLE_EQ(reckoned_load(VideoCodec::kH264, 1280, 720, 0), small) << "cameras that do not say their rate";
  EXPECT_EQ(reckoned_load(VideoCodec::kMjpeg, 1280, 720, 30), 0);
}

TEST_F(NvdecTest, HalfOfACardTakesHalfOfTheCameras) {
  const auto nvdec = open({.most_load = 1, .frames_per_second = 8.6, .share_of_card = 0.5});
  const auto path = clip(kCamera);
  Camera one(nvdec, path), two(nvdec, path), three(nvdec, path);
  one.step();
  two.step();
  three.run();
  EXPECT_EQ(three.on_cpu, 30);
}

TEST_F(NvdecTest, CamerasBeyondTheDecodersRateSpillToTheCpu) {
  // Each camera takes 10 frames/s of 240 macroblocks, which cost 0.213 of a 1280x720 frame each.
  const auto nvdec = open({.most_load = 1, .frames_per_second = 5});
  const auto path = clip(kCamera);
  Camera one(nvdec, path), two(nvdec, path);
  auto three = std::make_unique<Camera>(nvdec, path);
  one.step();
  two.step();
  EXPECT_NEAR(nvdec->stats().load, 2 * 2.13 / 5, 0.01);
  three->run();
  EXPECT_EQ(three->on_cpu, 30);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kSaturated), 1);
}

TEST_F(NvdecTest, TheBudgetIsKept) {
  memory::MemoryBudget budget(4'000'000);
  const auto nvdec = open({.budget = &budget});
  Camera small(nvdec, clip(kCamera)), large(nvdec, clip(kCamera, "large.mp4", "1280x720"));
  small.step();
  EXPECT_GT(budget.stats().reserved_bytes, 0);
  large.run();
  EXPECT_EQ(large.on_cpu, 30);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kMemoryUsedUp), 1);
  small.run();
  small.decoder.reset();
  EXPECT_EQ(budget.stats().reserved_bytes, 0);
}

TEST_F(NvdecTest, WhatOthersHaveTakenOfTheCardCounts) {
  const auto path = clip(kCamera);
  std::uint8_t* const taken = gpu_->allocate_device(gpu_->memory().total_bytes / 2);
  const auto modest = open({.memory_fraction = 0.5});
  Camera refused(modest, path);
  refused.step();
  EXPECT_EQ(refused.decoder->stats().reason, DecodeReason::kMemoryUsedUp);
  EXPECT_EQ(cuvid_->sessions(), 0);
  Camera taken_in(open({.memory_fraction = 0.8}), path);
  taken_in.step();
  EXPECT_EQ(taken_in.decoder->stats().place, DecodePlace::kGpu);
  gpu_->free_device(taken);
  Camera later(modest, path);
  later.step();
  EXPECT_EQ(later.decoder->stats().place, DecodePlace::kGpu);
}

TEST_F(NvdecTest, FramesThatWaitKeepTheirSurfacesAndTheOldestIsGivenUp) {
  const auto nvdec = open({.spare_surfaces = 2});
  const auto path = clip(kCamera);
  Camera reference(nvdec, path), camera(nvdec, path);
  reference.run();
  camera.keep = true;
  camera.run();
  EXPECT_EQ(camera.frames, 30);
  // Four surfaces: all frames but the newest four are gone, and nothing that came later is wrong.
  int gone = 0;
  for (std::size_t i = 0; i < camera.kept.size(); ++i) {
    const Result<void> mapped = camera.kept[i].map(nullptr);
    if (mapped) {
      std::uint64_t content = 0;
      std::memcpy(&content, camera.kept[i].image.planes[0].data, sizeof content);
      EXPECT_EQ(content, reference.contents[i]);
      camera.kept[i].pixels.reset();
    } else {
      EXPECT_EQ(mapped.error().code, ErrorCode::kExhausted);
      ++gone;
    }
  }
  EXPECT_EQ(gone, 26);
  EXPECT_EQ(nvdec->stats().given_up, 26);
}

TEST_F(NvdecTest, OnlySoManyFramesAreMappedAtOnce) {
  const auto nvdec = open({.output_surfaces = 1});
  Camera camera(nvdec, clip(kCamera));
  camera.keep = true;
  camera.step();
  camera.step();
  ASSERT_TRUE(camera.kept[0].map(nullptr));
  EXPECT_EQ(camera.kept[1].map(nullptr).error().code, ErrorCode::kExhausted);
  camera.kept[0].pixels.reset();
  EXPECT_TRUE(camera.kept[1].map(nullptr));
  EXPECT_EQ(nvdec->stats().no_output, 1);
}

TEST_F(NvdecTest, FramesOutliveDecoderAndHandle) {
  auto nvdec = open();
  auto camera = std::make_unique<Camera>(nvdec, clip(kCamera));
  camera->keep = true;
  camera->step();
  Frame frame = std::move(camera->kept[0]);
  camera.reset();
  nvdec.reset();
  EXPECT_EQ(cuvid_->sessions(), 1);
  EXPECT_TRUE(frame.map(nullptr));
  EXPECT_EQ(cuvid_->mapped(), 1);
  frame = Frame{};
  EXPECT_EQ(cuvid_->sessions(), 0);
}

TEST_F(NvdecTest, ANewSizeInMidStreamMovesToAnotherSession) {
  const auto nvdec = open();
  // One H.264 stream whose second half is larger.
  const auto first = testing::bytes_of(clip(kCamera, "a.h264"));
  auto both = first;
  const auto second = testing::bytes_of(clip(kCamera, "b.h264", "640x384"));
  both.insert(both.end(), second.begin(), second.end());
  testing::write(folder_ / "both.h264", both);
  Camera camera(nvdec, folder_ / "both.h264");
  camera.run();
  EXPECT_EQ(camera.frames, 60);
  EXPECT_EQ(camera.sizes.front(), (std::pair{320, 192}));
  EXPECT_EQ(camera.sizes[29], (std::pair{320, 192}));
  EXPECT_EQ(camera.sizes[30], (std::pair{640, 384}));
  EXPECT_EQ(nvdec->stats().sessions_opened, 2);
  camera.decoder.reset();
  EXPECT_EQ(cuvid_->sessions(), 0);
}

TEST_F(NvdecTest, AFileThatStartsAgainKeepsItsSession) {
  const auto nvdec = open();
  SourceConfig config;
  config.url = clip(kCamera).string();
  config.loop = true;
  const auto source = make_source(config);
  const auto decoder = nvdec->make_decoder({});
  std::vector<std::uint64_t> contents;
  for (int i = 0; i < 90; ++i) {
    auto packet = source->next();
    ASSERT_TRUE(packet);
    if (packet->stream_changed) {
      if (i > 0) decoder->finish();
      ASSERT_TRUE(decoder->open(source->stream()));
    }
    decoder->send(*packet);
    Frame frame;
    while (decoder->receive(frame) == DecodeEvent::kFrame) {
      ASSERT_TRUE(frame.map(nullptr));
      std::uint64_t content = 0;
      std::memcpy(&content, frame.image.planes[0].data, sizeof content);
      contents.push_back(content);
    }
  }
  ASSERT_EQ(contents.size(), 90);
  for (std::size_t i = 30; i < 90; ++i) EXPECT_EQ(contents[i], contents[i - 30]);
  EXPECT_EQ(cuvid_->sessions_made(), 1);
  EXPECT_EQ(decoder->stats().frames, 90);
  EXPECT_EQ(choices(*nvdec, DecodeReason::kShared), 1);
}

TEST_F(NvdecTest, PicturesThatTheCardRefusesAreLostAndCounted) {
  const auto nvdec = open();
  Camera camera(nvdec, clip(kCamera));
  for (int i = 0; i < 5; ++i) camera.step();
  cuvid_->refuse_pictures = 3;
  camera.run();
  EXPECT_EQ(camera.frames, 27);
  EXPECT_EQ(camera.lost, 3);
  EXPECT_EQ(nvdec->stats().refused, 3);
  EXPECT_EQ(camera.decoder->stats().lost, 3);
}

TEST_F(NvdecTest, ACardThatKeepsRefusingIsGivenUpForTheStream) {
  const auto nvdec = open();
  const auto path = folder_ / "long.mp4";
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x192:rate=10:duration=12 -pix_fmt yuv420p " + std::string(kCamera) +
                     " " + path.string()));
  Camera camera(nvdec, path);
  camera.step();
  cuvid_->refuse_pictures = 1000;
  camera.run();
  EXPECT_EQ(camera.decoder->stats().place, DecodePlace::kCpu);
  EXPECT_EQ(camera.decoder->stats().reason, DecodeReason::kFaults);
  EXPECT_EQ(camera.frames + camera.lost, 120);
  EXPECT_GE(camera.on_cpu, 40);
}

TEST_F(NvdecTest, PatchedPicturesAreCountedWithTheirCamera) {
  const auto nvdec = open();
  const auto path = clip(kCamera);
  Camera one(nvdec, path), two(nvdec, path);
  one.step();
  two.step();
  cuvid_->conceal_pictures = 2;
  one.run();
  two.run();
  EXPECT_EQ(one.decoder->stats().concealed, 2);
  EXPECT_EQ(two.decoder->stats().concealed, 0);
  EXPECT_EQ(nvdec->stats().concealed, 2);
}

TEST_F(NvdecTest, UnwantedPicturesCostNoSurfaceAndNoMap) {
  const auto nvdec = open();
  SourceConfig config;
  config.url = clip(kCamera).string();
  const auto source = make_source(config);
  const auto decoder = nvdec->make_decoder({});
  int n = 0;
  const auto reading = testing::read_all(*source, *decoder, {},
                                         [&](const Packet&) { return n++ % 3 == 0 ? Need::kPicture : Need::kNothing; });
  EXPECT_EQ(reading.pts.size(), 10);
  EXPECT_EQ(reading.unwanted, 20);
  EXPECT_EQ(nvdec->stats().mapped, 0);
  EXPECT_EQ(nvdec->stats().decoded, 30);
}

TEST_F(NvdecTest, SkippingToKeyFramesDecodesNothingElse) {
  const auto nvdec = open();
  SourceConfig config;
  config.url = clip(kCamera).string();
  const auto source = make_source(config);
  const auto decoder = nvdec->make_decoder({});
  decoder->set_skip(SkipLevel::kNonKey);
  const auto reading = testing::read_all(*source, *decoder);
  EXPECT_EQ(reading.pts.size(), 3);
  EXPECT_EQ(reading.skipped, 27);
  EXPECT_EQ(nvdec->stats().decoded, 3);
}

TEST_F(NvdecTest, VerificationComparesEveryPicture) {
  const auto nvdec = open();
  const auto path = clip(kCamera);
  Camera one(nvdec, path, true), two(nvdec, path, true), other(nvdec, path);
  one.step();
  other.run();
  two.run();
  one.run();
  EXPECT_EQ(nvdec->stats().verified, 60);
  EXPECT_EQ(nvdec->stats().mismatched, 0);
  EXPECT_EQ(one.decoder->stats().verified, 30);
  EXPECT_EQ(other.decoder->stats().verified, 0) << "nobody asked for it";
}

TEST_F(NvdecTest, ACameraThatComesOutWrongLeavesTheSharedSessionAtItsNextKeyFrame) {
  const auto nvdec = open();
  const auto path = clip(kCamera);
  Camera one(nvdec, path), two(nvdec, path, true);
  one.step();
  for (int i = 0; i < 13; ++i) two.step();
  cuvid_->spoil_shared = 1;
  two.run();
  // The spoilt picture and those predicted from it, up to the key frame.
  EXPECT_EQ(nvdec->stats().mismatched, 7);
  EXPECT_EQ(two.decoder->stats().mismatched, 7);
  EXPECT_EQ(two.frames, 30);
  EXPECT_EQ(two.decoder->stats().reason, DecodeReason::kOwnSession);
}

TEST_F(NvdecTest, ManyCamerasComeAndGoAtOnceAndEveryPictureIsItsOwn) {
  const auto path = clip(kCamera);
  Camera reference(open({.share_sessions = false}), path);
  reference.run();
  reference.decoder.reset();
  const auto nvdec = open();
  std::atomic<int> wrong{0}, frames{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 4; ++round) {
        Camera camera(nvdec, path);
        camera.run();
        frames += camera.frames;
        wrong += camera.contents != reference.contents;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(frames, 12 * 4 * 30);
  EXPECT_EQ(cuvid_->sessions(), 0);
  EXPECT_EQ(nvdec->stats().unlisted, 0);
}

TEST_F(NvdecTest, OptionsOutOfRangeAreRefused) {
  EXPECT_THROW(open({.spare_surfaces = 0}), PreconditionError);
  EXPECT_THROW(open({.output_surfaces = 9}), PreconditionError);
  EXPECT_THROW((void)Nvdec::open(nullptr, cuvid_, {}), PreconditionError);
}

}  // namespace
}  // namespace gantry::media
