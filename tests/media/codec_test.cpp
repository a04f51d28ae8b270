// Every codec, pixel format, rotation and change in mid-stream against the ffmpeg program's own reading of the file.
#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <map>

#include "media/local_server.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

/// The pixels of an image without the padding of its rows.
void append(const Image& image, std::vector<std::uint8_t>& out) {
  const int cw = (image.width + 1) / 2, ch = (image.height + 1) / 2;
  const bool rgb = image.format == PixelFormat::kBgr24 || image.format == PixelFormat::kRgb24;
  const int widths[3] = {rgb ? 3 * image.width : image.width, image.format == PixelFormat::kNv12 ? 2 * cw : cw, cw};
  const int planes = rgb ? 1 : image.format == PixelFormat::kNv12 ? 2 : 3;
  for (int i = 0; i < planes; ++i)
    for (int y = 0; y < (i == 0 ? image.height : ch); ++y) {
      const std::uint8_t* row = image.planes[i].data + image.planes[i].stride_bytes * y;
      out.insert(out.end(), row, row + widths[i]);
    }
}

struct Case {
  const char* name;
  const char* encode;      ///< arguments of the ffmpeg program
  const char* file;        ///< ending decides the container
  const char* raw_format;  ///< in which its own reading is asked for
  PixelFormat format;
  ColorMatrix matrix;
  ColorRange range;
  bool copied;    ///< the pixel format is none of Gantry's
  int tolerance;  ///< of a sample, where swscale takes other paths in the program
};

constexpr auto kI420 = PixelFormat::kI420;
constexpr auto kNv12 = PixelFormat::kNv12;
constexpr auto kBgr = PixelFormat::kBgr24;
constexpr auto k601 = ColorMatrix::kBt601;
constexpr auto k709 = ColorMatrix::kBt709;
constexpr auto kTv = ColorRange::kLimited;
constexpr auto kPc = ColorRange::kFull;

const Case kCases[] = {
    {"h264", "-c:v libx264 -pix_fmt yuv420p", "x.mp4", "yuv420p", kI420, k601, kTv, false, 0},
    {"h264_annexb", "-c:v libx264 -pix_fmt yuv420p -bf 3", "x.ts", "yuv420p", kI420, k601, kTv, false, 0},
    {"h264_709", "-c:v libx264 -pix_fmt yuv420p -colorspace bt709", "x.mp4", "yuv420p", kI420, k709, kTv, false, 0},
    {"h264_2020", "-c:v libx264 -pix_fmt yuv420p -colorspace bt2020nc", "x.mp4", "yuv420p", kI420, ColorMatrix::kBt2020,
     kTv, false, 0},
    {"h264_full", "-c:v libx264 -pix_fmt yuvj420p -color_range pc", "x.mp4", "yuvj420p", kI420, k601, kPc, false, 0},
    {"h264_444", "-c:v libx264 -pix_fmt yuv444p", "x.mp4", "yuv420p", kI420, k601, kTv, true, 2},
    {"h264_422", "-c:v libx264 -pix_fmt yuv422p", "x.mp4", "yuv420p", kI420, k601, kTv, true, 2},
    {"h264_10bit", "-c:v libx264 -pix_fmt yuv420p10le", "x.mp4", "yuv420p", kI420, k601, kTv, true, 2},
    {"hevc", "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none", "x.mp4", "yuv420p", kI420, k601, kTv, false,
     0},
    {"mpeg4_avi", "-c:v mpeg4 -bf 2 -pix_fmt yuv420p", "x.avi", "yuv420p", kI420, k601, kTv, false, 0},
    {"mpeg2", "-c:v mpeg2video -bf 2 -pix_fmt yuv420p", "x.mpg", "yuv420p", kI420, k601, kTv, false, 0},
    {"mjpeg_420", "-c:v mjpeg -pix_fmt yuvj420p", "x.avi", "yuvj420p", kI420, k601, kPc, false, 0},
    {"mjpeg_422", "-c:v mjpeg -pix_fmt yuvj422p", "x.avi", "yuvj420p", kI420, k601, kPc, true, 2},
    {"vp8", "-c:v libvpx -deadline realtime -auto-alt-ref 1 -pix_fmt yuv420p", "x.webm", "yuv420p", kI420, k601, kTv,
     false, 0},
    {"vp9", "-c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p", "x.webm", "yuv420p", kI420, k601, kTv, false, 0},
    {"nv12_raw", "-c:v rawvideo -pix_fmt nv12", "x.nut", "nv12", kNv12, k601, kTv, false, 0},
    {"rgb_lossless", "-c:v libx264rgb -pix_fmt rgb24", "x.mkv", "bgr24", kBgr, k601, kTv, true, 0},
    {"gray", "-c:v ffv1 -pix_fmt gray", "x.mkv", "gray", kI420, k601, kPc, true, 0},
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class Codec : public ::testing::TestWithParam<Case> {
 protected:
  /// Encodes 20 pictures; false where this FFmpeg lacks the encoder.
  bool make(const std::string& size) {
    path_ = folder_ / GetParam().file;
    return ffmpeg("-f lavfi -i testsrc2=size=" + size + ":rate=25:duration=0.8 " + GetParam().encode + " " +
                  path_.string());
  }
  TemporaryFolder folder_;
  fs::path path_;
};

TEST_P(Codec, PixelsAreTheFfmpegProgramsOwn) {
  const Case& c = GetParam();
  if (!make("322x178")) GTEST_SKIP() << "this FFmpeg lacks the encoder: " << c.encode;
  ASSERT_TRUE(ffmpeg("-i " + path_.string() + " -fps_mode passthrough -f rawvideo -pix_fmt " + c.raw_format + " " +
                     (folder_ / "raw").string()));
  const std::vector<std::uint8_t> expected = bytes_of(folder_ / "raw");
  for (const int threads : {1, 3}) {
    std::vector<std::uint8_t> pixels;
    const Reading reading = read_all(
        path_,
        [&](const Frame& frame) {
          EXPECT_EQ(frame.image.format, c.format);
          EXPECT_EQ(frame.image.matrix, c.matrix);
          EXPECT_EQ(frame.image.range, c.range);
          Image image = frame.image;
          if (std::string_view(c.raw_format) == "gray")  // compare what the source has: no chroma
            for (int y = 0; y < image.height; ++y) {
              const std::uint8_t* row = image.planes[0].data + image.planes[0].stride_bytes * y;
              pixels.insert(pixels.end(), row, row + image.width);
            }
          else
            append(image, pixels);
        },
        threads);
    EXPECT_EQ(reading.pts.size(), 20U);
    EXPECT_EQ(reading.lost, 0U);
    EXPECT_EQ(reading.stats.converted, c.copied ? 20U : 0U);
    EXPECT_TRUE(std::is_sorted(reading.pts.begin(), reading.pts.end()));
    ASSERT_EQ(pixels.size(), expected.size());
    int worst = 0;
    for (std::size_t i = 0; i < pixels.size(); ++i) worst = std::max(worst, std::abs(pixels[i] - expected[i]));
    EXPECT_LE(worst, c.tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Codec, ::testing::ValuesIn(kCases),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(OddSizes, ComeOutWhole) {
  TemporaryFolder folder;
  const fs::path path = folder / "odd.avi";
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=640x360:rate=25:duration=0.2 -vf scale=321:179 -c:v mjpeg -pix_fmt yuvj420p " +
             path.string()));
  ASSERT_TRUE(ffmpeg("-i " + path.string() + " -f rawvideo -pix_fmt yuvj420p " + (folder / "raw").string()));
  std::vector<std::uint8_t> pixels;
  read_all(path, [&](const Frame& frame) {
    EXPECT_EQ(frame.image.width, 321);
    EXPECT_EQ(frame.image.height, 179);
    append(frame.image, pixels);
  });
  EXPECT_EQ(pixels, bytes_of(folder / "raw"));
}

/// Writes a display matrix into the track header of an MP4, as telephones do for cameras held on their side.
void set_matrix(const fs::path& path, const std::array<std::int32_t, 9>& matrix) {
  std::vector<std::uint8_t> bytes = bytes_of(path);
  const char tag[] = {'t', 'k', 'h', 'd'};
  const auto at = std::search(bytes.begin(), bytes.end(), tag, tag + 4);
  ASSERT_NE(at, bytes.end());
  std::size_t offset = static_cast<std::size_t>(at - bytes.begin()) + 4 + 40;
  for (const std::int32_t number : matrix)
    for (int shift = 24; shift >= 0; shift -= 8) bytes[offset++] = static_cast<std::uint8_t>(number >> shift);
  write(path, bytes);
}

TEST(Rotation, PixelsStandUprightLikeTheFfmpegProgramsOwn) {
  constexpr std::int32_t one = 1 << 16, w = 1 << 30;
  const std::array<std::int32_t, 9> kMatrices[] = {
      {0, one, 0, -one, 0, 0, 0, 0, w},   // 90° clockwise
      {-one, 0, 0, 0, -one, 0, 0, 0, w},  // 180°
      {0, -one, 0, one, 0, 0, 0, 0, w},   // 270°
      {-one, 0, 0, 0, one, 0, 0, 0, w},   // mirrored left to right
      {one, 0, 0, 0, -one, 0, 0, 0, w},   // mirrored top to bottom
  };
  TemporaryFolder folder;
  const fs::path path = folder / "turned.mp4";
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=320x176:rate=25:duration=0.2 -c:v libx264 -pix_fmt yuv420p " + path.string()));
  int index = 0;
  for (const auto& matrix : kMatrices) {
    set_matrix(path, matrix);
    ASSERT_TRUE(ffmpeg("-i " + path.string() + " -f rawvideo -pix_fmt yuv420p " + (folder / "raw").string()));
    std::vector<std::uint8_t> pixels;
    const Reading reading = read_all(path, [&](const Frame& frame) { append(frame.image, pixels); });
    EXPECT_EQ(reading.stats.converted, 5U);
    EXPECT_TRUE(pixels == bytes_of(folder / "raw")) << "matrix " << index;
    ++index;
  }
}

TEST(MidStream, ResolutionChangeKeepsEveryFrame) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=1 -c:v libx264 -pix_fmt yuv420p " +
                     (folder / "a.ts").string()));
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=640x360:rate=25:duration=1 -c:v libx264 -pix_fmt yuv420p -output_ts_offset 1 " +
             (folder / "b.ts").string()));
  std::vector<std::uint8_t> both = bytes_of(folder / "a.ts"), second = bytes_of(folder / "b.ts");
  both.insert(both.end(), second.begin(), second.end());
  write(folder / "both.ts", both);
  for (const int threads : {1, 3}) {
    int small = 0, large = 0;
    const Reading reading = read_all(
        folder / "both.ts",
        [&](const Frame& frame) {
          small += frame.image.width == 320 && frame.image.height == 240;
          large += frame.image.width == 640 && frame.image.height == 360;
        },
        threads);
    EXPECT_EQ(small, 25);
    EXPECT_EQ(large, 25);
    EXPECT_EQ(reading.lost, 0U);
  }
}

TEST(MidStream, CodecChangeInALiveStreamIsFollowed) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=4 -c:v libx264 -pix_fmt yuv420p " +
                     (folder / "a.ts").string()));
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=640x360:rate=25:duration=1 -c:v libx265 -x265-params log-level=none -pix_fmt "
             "yuv420p -mpegts_start_pid 0x200 -output_ts_offset 4 " +
             (folder / "b.ts").string()));
  // The programme changes once the first frames have been taken, as it would at an encoder that is set up anew.
  std::promise<void> taken;
  const LocalServer server([&](int client) {
    send_all(client, bytes_of(folder / "a.ts"));
    taken.get_future().wait_for(std::chrono::seconds(20));
    send_all(client, bytes_of(folder / "b.ts"));
  });
  SourceConfig config;
  config.url = server.url("tcp");
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder();
  int small = 0, large = 0;
  const Reading reading = read_all(*source, *decoder, [&](const Frame& frame) {
    if (small == 0) taken.set_value();
    small += frame.image.width == 320;
    large += frame.image.width == 640;
  });
  EXPECT_GE(small, 98);  // FFmpeg's parser and demuxer still hold the old codec's last two when the new one begins
  EXPECT_EQ(large, 25);
  EXPECT_EQ(reading.lost, 0U);
  EXPECT_EQ(reading.end.code, ErrorCode::kNetwork);
  EXPECT_EQ(reading.end.message, config.url + ": the camera ended the stream");
}

TEST(Loop, TimeGoesOnAndEveryRoundIsWhole) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=160x120:rate=25:duration=0.4 -c:v libx264 -pix_fmt yuv420p " +
                     (folder / "x.mp4").string()));
  SourceConfig config;
  config.url = (folder / "x.mp4").string();
  config.loop = true;
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder();
  std::vector<std::int64_t> ms;
  (void)read_all(*source, *decoder, [&](const Frame& frame) {
    ms.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(frame.pts).count());
    if (ms.size() == 35) source->cancel();
  });
  ASSERT_GE(ms.size(), 35U);
  for (std::size_t i = 0; i < 35; ++i) EXPECT_EQ(ms[i], 40 * static_cast<std::int64_t>(i));
}

TEST(Pacing, FollowsTheFilesOwnClock) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=160x120:rate=25:duration=0.6 -c:v libx264 -pix_fmt yuv420p " +
                     (folder / "x.mp4").string()));
  SourceConfig config;
  config.url = (folder / "x.mp4").string();
  config.pacing = Pacing::kLive;
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder();
  const auto begin = std::chrono::steady_clock::now();
  const Reading reading = read_all(*source, *decoder);
  EXPECT_EQ(reading.pts.size(), 15U);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(560));
}

/// I P B B … from libx264 with B pictures that nothing refers to.
class Skipping : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    path_ = folder_ / "x.mp4";
    made_ = ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -pix_fmt yuv420p -g 10 -c:v " +
                   std::string(GetParam()) + " " + path_.string());
  }
  Reading read(SkipLevel level, const std::function<Need(const Packet&)>& need = {}) {
    SourceConfig config;
    config.url = path_.string();
    const auto source = make_source(config);
    const auto decoder = make_ffmpeg_decoder({1});
    decoder->set_skip(level);
    return read_all(*source, *decoder, {}, need);
  }
  TemporaryFolder folder_;
  fs::path path_;
  bool made_ = false;
};

TEST_P(Skipping, EveryPacketIsAnsweredOnce) {
  if (!made_) GTEST_SKIP() << "this FFmpeg lacks the encoder";
  const Reading all = read(SkipLevel::kNothing);
  EXPECT_EQ(all.pts.size(), 50U);

  const Reading references = read(SkipLevel::kNonReference);
  EXPECT_EQ(references.pts.size() + references.skipped, 50U);
  EXPECT_EQ(references.lost, 0U);
  EXPECT_GT(references.skipped, 15U);

  const Reading keys = read(SkipLevel::kNonKey);
  EXPECT_EQ(keys.pts.size(), 5U);
  EXPECT_EQ(keys.skipped, 45U);
  EXPECT_EQ(keys.lost, 0U);

  int packet = 0;
  const Reading half =
      read(SkipLevel::kNothing, [&](const Packet&) { return packet++ % 2 == 0 ? Need::kPicture : Need::kNothing; });
  EXPECT_EQ(half.pts.size(), 25U);
  EXPECT_EQ(half.unwanted, 25U);
  EXPECT_EQ(half.lost, 0U);
}

TEST_P(Skipping, PicturesLeftInAreTheSameAsWithoutSkipping) {
  if (!made_) GTEST_SKIP() << "this FFmpeg lacks the encoder";
  std::map<Duration, std::vector<std::uint8_t>> whole;
  read_all(path_, [&](const Frame& frame) { append(frame.image, whole[frame.pts]); });
  SourceConfig config;
  config.url = path_.string();
  const auto source = make_source(config);
  const auto decoder = make_ffmpeg_decoder({1});
  int packet = 0, compared = 0;
  const Reading reading = read_all(
      *source, *decoder,
      [&](const Frame& frame) {
        std::vector<std::uint8_t> pixels;
        append(frame.image, pixels);
        EXPECT_TRUE(pixels == whole[frame.pts]) << frame.pts.count();
        ++compared;
      },
      [&](const Packet&) {
        // All three levels in turn, changed in mid-stream.
        decoder->set_skip(static_cast<SkipLevel>(packet++ / 7 % 3));
        return Need::kPicture;
      });
  EXPECT_EQ(reading.lost, 0U);
  EXPECT_EQ(reading.pts.size() + reading.skipped, 50U);
  EXPECT_GT(compared, 10);
}

INSTANTIATE_TEST_SUITE_P(
    Codecs, Skipping,
    ::testing::Values("libx264 -bf 2 -x264-params b-pyramid=none",
                      "libx265 -x265-params log-level=none:bframes=2:b-pyramid=0:keyint=10",
                      "libx265 -x265-params log-level=none:bframes=2:b-pyramid=0:open-gop=1:keyint=10"),
    [](const auto& parameter) { return "case" + std::to_string(parameter.index); });

}  // namespace
}  // namespace gantry::media
