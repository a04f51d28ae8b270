#include "gantry/media/movable_decoder.hpp"

#include <gtest/gtest.h>

#include <map>

#include "media/support.hpp"

namespace gantry::media {
namespace {

using testing::ffmpeg;

std::uint64_t hash_of(const Image& image) {
  std::uint64_t hash = 14695981039346656037U;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      hash = (hash ^ image.planes[0].data[y * image.planes[0].stride_bytes + x]) * 1099511628211U;
  return hash;
}

/// Takes no stream.
class Refusing final : public Decoder {
 public:
  Result<void> open(const StreamInfo& /*stream*/) override { return fail(ErrorCode::kUnsupported, "no"); }
  void send(const Packet& /*packet*/, Need /*need*/) override {}
  void finish() override {}
  DecodeEvent receive(Frame& /*frame*/) override { return DecodeEvent::kNeedPacket; }
  void set_skip(SkipLevel /*level*/) noexcept override {}
  DecoderStats stats() const noexcept override { return {}; }
};

constexpr int kRefuses = 9;

class MovableDecoderTest : public ::testing::Test {
 protected:
  std::filesystem::path clip(const std::string& options) {
    const auto path = folder_ / "clip.mp4";
    EXPECT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=96x64:rate=25:duration=4 -pix_fmt yuv420p -c:v libx264 -g 25 " +
                       options + " " + path.string()));
    return path;
  }
  struct Outcome {
    testing::Reading reading;
    std::map<Duration, std::uint64_t> pictures;
    std::vector<std::pair<std::uint64_t, int>> moves;  ///< packet before which it was somewhere else, and where
  };
  /// `plan`: packet number to the place that is wanted from then on.
  Outcome read(const std::filesystem::path& path, const std::map<std::uint64_t, int>& plan,
               std::size_t most_kept = std::size_t{4} << 20) {
    SourceConfig config;
    config.url = path.string();
    const auto source = make_source(config);
    const auto site = std::make_shared<DecodeSite>(0);
    const auto decoder = make_movable_decoder(
        [](int place) -> std::unique_ptr<Decoder> {
          if (place == kRefuses) return std::make_unique<Refusing>();
          return make_ffmpeg_decoder({1});
        },
        site, most_kept);
    Outcome outcome;
    std::uint64_t packet = 0;
    int place = 0;
    outcome.reading = testing::read_all(
        *source, *decoder,
        [&](const Frame& frame) {
          EXPECT_TRUE(outcome.pictures.emplace(frame.pts, hash_of(frame.image)).second) << "handed out twice";
        },
        [&](const Packet&) {
          if (site->now() != place) outcome.moves.emplace_back(packet - 1, place = site->now());
          if (const auto wish = plan.find(packet); wish != plan.end()) site->move_to(wish->second);
          ++packet;
          return Need::kPicture;
        });
    return outcome;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(MovableDecoderTest, MovesInTheMiddleAndLosesNothing) {
  for (const char* options : {"-bf 0", "-bf 2 -refs 3"}) {
    const auto path = clip(options);
    const auto still = read(path, {});
    ASSERT_EQ(still.pictures.size(), 100U);
    const auto moved = read(path, {{0, 1}, {12, 2}, {13, 1}, {40, 2}, {99, 1}});
    EXPECT_EQ(moved.pictures, still.pictures) << options;
    EXPECT_EQ(moved.reading.lost, 0U);
    EXPECT_EQ(moved.reading.unwanted, 0U);
    EXPECT_EQ(moved.reading.stats.frames, 100U);
    EXPECT_EQ(moved.moves.size(), 4U) << "to where it is, or after the last packet";
    ASSERT_GE(moved.moves.size(), 3U);
    EXPECT_EQ(moved.moves[1], std::pair(std::uint64_t{12}, 2));
    EXPECT_EQ(moved.moves[2], std::pair(std::uint64_t{13}, 1));
  }
}

TEST_F(MovableDecoderTest, ChoosesAgainWhereItIs) {
  const auto path = clip("-bf 0");
  SourceConfig config;
  config.url = path.string();
  const auto source = make_source(config);
  const auto site = std::make_shared<DecodeSite>(3);
  int made = 0;
  const auto decoder = make_movable_decoder(
      [&made](int place) {
        EXPECT_EQ(place, 3);
        ++made;
        return make_ffmpeg_decoder({1});
      },
      site);
  std::uint64_t packet = 0;
  const auto reading = testing::read_all(*source, *decoder, {}, [&](const Packet&) {
    if (++packet == 12) site->choose_again();
    return Need::kPicture;
  });
  EXPECT_EQ(made, 2);
  EXPECT_EQ(reading.pts.size(), 100U);
  EXPECT_EQ(reading.lost, 0U);
}

TEST_F(MovableDecoderTest, WaitsForAKeyFrameWhereTooMuchCameSinceTheLast) {
  const auto path = clip("-bf 0");
  const auto moved = read(path, {{12, 1}}, 1);
  ASSERT_EQ(moved.moves.size(), 1U);
  EXPECT_EQ(moved.moves[0], std::pair(std::uint64_t{25}, 1));
  EXPECT_EQ(moved.pictures, read(path, {}).pictures);
}

TEST_F(MovableDecoderTest, StaysWhereTheNewPlaceDoesNotTakeIt) {
  const auto path = clip("-bf 0");
  const auto stayed = read(path, {{12, kRefuses}});
  EXPECT_TRUE(stayed.moves.empty());
  EXPECT_EQ(stayed.pictures.size(), 100U);
  EXPECT_EQ(stayed.reading.lost, 0U);
}

TEST(MovableDecoder, NeedsPlacesAndASite) {
  EXPECT_THROW((void)make_movable_decoder({}, std::make_shared<DecodeSite>(0)), PreconditionError);
  EXPECT_THROW((void)make_movable_decoder([](int) { return make_ffmpeg_decoder({1}); }, nullptr), PreconditionError);
}

}  // namespace
}  // namespace gantry::media
