// Gantry's own frame path allocates nothing once warm. FFmpeg allocates through malloc inside itself and is reported
// apart; what is ours goes through operator new, which is counted here.
#include <array>

#include "media/counting_new.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

/// Handed out without a copy, and converted from two formats.
class Warm : public ::testing::TestWithParam<const char*> {};

TEST_P(Warm, AFrameCostsNoAllocationOfOurs) {
  TemporaryFolder folder;
  const fs::path path = folder / "x.mkv";
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=4 " + std::string(GetParam()) + " " + path.string()));
  SourceConfig config;
  config.url = path.string();
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder({1});
  // A slot and a batch's worth of frames are in flight, as in the pipeline.
  std::array<Frame, 4> in_flight;
  std::uint64_t frames = 0, before = 0;
  for (;;) {
    const Result<Packet> packet = source->next();
    if (!packet) break;
    if (packet->stream_changed) {
      ASSERT_TRUE(decoder->open(source->stream()));
    }
    decoder->send(*packet);
    Frame frame;
    while (decoder->receive(frame) == DecodeEvent::kFrame) {
      in_flight[frames % in_flight.size()] = std::move(frame);
      if (++frames == 30) before = allocations_so_far();
    }
    // The end of the file builds an error message; stop in front of it.
    if (frames == 90) break;
  }
  const std::uint64_t after = allocations_so_far();
  ASSERT_EQ(frames, 90U);
  EXPECT_EQ(after - before, 0U);
}
INSTANTIATE_TEST_SUITE_P(Paths, Warm,
                         ::testing::Values("-c:v libx264 -bf 2 -pix_fmt yuv420p", "-c:v libx264 -pix_fmt yuv444p",
                                           "-c:v mjpeg -pix_fmt yuvj422p"),
                         [](const auto& parameter) { return "path" + std::to_string(parameter.index); });

}  // namespace
}  // namespace gantry::media
