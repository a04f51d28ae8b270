// Writers: what goes in comes out again, at the time it was given and in its colours.
#include <cmath>
#include <cstdint>

#include "gantry/media/annotated_video_writer.hpp"
#include "gantry/media/clip_writer.hpp"
#include "gantry/media/jpeg.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

/// A picture that owns its pixels.
struct Picture {
  std::vector<std::uint8_t> bytes;
  Image image;
};

/// One colour everywhere, in the given format; `a`, `b`, `c` are Y, U, V or R, G, B.
Picture plain(PixelFormat format, int width, int height, std::uint8_t a, std::uint8_t b, std::uint8_t c,
              ColorMatrix matrix = ColorMatrix::kBt601, ColorRange range = ColorRange::kLimited) {
  const std::size_t cw = (width + 1) / 2, ch = (height + 1) / 2, luma = std::size_t(width) * height, chroma = cw * ch;
  Picture p;
  p.image.width = width;
  p.image.height = height;
  p.image.format = format;
  p.image.matrix = matrix;
  p.image.range = range;
  if (format == PixelFormat::kI420) {
    p.bytes.assign(luma, a);
    p.bytes.insert(p.bytes.end(), chroma, b);
    p.bytes.insert(p.bytes.end(), chroma, c);
    p.image.planes = {Plane{p.bytes.data(), width}, Plane{p.bytes.data() + luma, std::ptrdiff_t(cw)},
                      Plane{p.bytes.data() + luma + chroma, std::ptrdiff_t(cw)}};
  } else if (format == PixelFormat::kNv12) {
    p.bytes.assign(luma, a);
    for (std::size_t i = 0; i < chroma; ++i) p.bytes.insert(p.bytes.end(), {b, c});
    p.image.planes = {Plane{p.bytes.data(), width}, Plane{p.bytes.data() + luma, std::ptrdiff_t(2 * cw)}, Plane{}};
  } else {
    const bool rgb = format == PixelFormat::kRgb24;
    for (std::size_t i = 0; i < luma; ++i) p.bytes.insert(p.bytes.end(), {rgb ? a : c, b, rgb ? c : a});
    p.image.planes = {Plane{p.bytes.data(), std::ptrdiff_t(3) * width}, Plane{}, Plane{}};
  }
  return p;
}

/// BT.601 limited Y'CbCr of pure red.
constexpr std::uint8_t kRedY = 81, kRedU = 90, kRedV = 240;

class WriterFormats : public ::testing::TestWithParam<PixelFormat> {};

TEST_P(WriterFormats, ColourSurvivesTheFile) {
  const bool yuv = GetParam() == PixelFormat::kI420 || GetParam() == PixelFormat::kNv12;
  const Picture red = yuv ? plain(GetParam(), 64, 48, kRedY, kRedU, kRedV) : plain(GetParam(), 64, 48, 255, 0, 0);
  TemporaryFolder folder;
  const fs::path path = folder / "red.mp4";
  ClipWriter writer(path.string());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(writer.write(red.image, std::chrono::milliseconds(40 * i)));
  ASSERT_TRUE(writer.finish());
  int seen = 0;
  read_all(path, [&](const Frame& frame) {
    ++seen;
    ASSERT_EQ(frame.image.format, PixelFormat::kI420);
    EXPECT_NEAR(frame.image.planes[0].data[0], kRedY, 2);
    EXPECT_NEAR(frame.image.planes[1].data[0], kRedU, 2);
    EXPECT_NEAR(frame.image.planes[2].data[0], kRedV, 2);
    EXPECT_EQ(frame.image.matrix, ColorMatrix::kBt601);
    EXPECT_EQ(frame.image.range, ColorRange::kLimited);
  });
  EXPECT_EQ(seen, 5);
}
INSTANTIATE_TEST_SUITE_P(Formats, WriterFormats,
                         ::testing::Values(PixelFormat::kI420, PixelFormat::kNv12, PixelFormat::kBgr24,
                                           PixelFormat::kRgb24),
                         [](const auto& parameter) { return std::string(to_string(parameter.param)); });

TEST(ClipWriter, KeepsUnevenTimeStampsAndALateStart) {
  TemporaryFolder folder;
  const fs::path path = folder / "times.mp4";
  ClipOptions options;
  options.time_base_num = 1;
  options.time_base_den = 30'000;
  const Picture grey = plain(PixelFormat::kI420, 32, 32, 128, 128, 128);
  std::vector<Duration> given;
  {
    ClipWriter writer(path.string(), options);
    for (const std::int64_t tick : {45'045, 46'046, 47'047, 60'060, 60'061, 90'000}) {
      given.emplace_back((tick * 1'000'000'000 + 15'000) / 30'000);
      ASSERT_TRUE(writer.write(grey.image, given.back()));
    }
    ASSERT_TRUE(writer.finish());
  }
  EXPECT_EQ(read_all(path).pts, given);
}

TEST(ClipWriter, OddSizesGainAColumnAndARow) {
  TemporaryFolder folder;
  for (const auto& [width, height] : {std::pair{1, 1}, std::pair{33, 17}, std::pair{64, 17}, std::pair{33, 48}}) {
    const fs::path path = folder / (std::to_string(width) + ".mp4");
    const Picture red = plain(PixelFormat::kBgr24, width, height, 255, 0, 0);
    ClipWriter writer(path.string());
    ASSERT_TRUE(writer.write(red.image, Duration::zero()));
    ASSERT_TRUE(writer.finish());
    int seen = 0;
    read_all(path, [&](const Frame& frame) {
      ++seen;
      EXPECT_EQ(frame.image.width, width + width % 2);
      EXPECT_EQ(frame.image.height, height + height % 2);
      const Plane& luma = frame.image.planes[0];
      EXPECT_NEAR(luma.data[luma.stride_bytes * (frame.image.height - 1) + frame.image.width - 1], kRedY, 3);
    });
    EXPECT_EQ(seen, 1);
  }
}

TEST(ClipWriter, PicturesOfAnotherSizeAreScaledToTheFirst) {
  TemporaryFolder folder;
  const fs::path path = folder / "sizes.mp4";
  ClipWriter writer(path.string());
  ASSERT_TRUE(writer.write(plain(PixelFormat::kI420, 64, 48, kRedY, kRedU, kRedV).image, Duration::zero()));
  ASSERT_TRUE(
      writer.write(plain(PixelFormat::kNv12, 128, 96, kRedY, kRedU, kRedV).image, std::chrono::milliseconds(40)));
  ASSERT_TRUE(writer.finish());
  read_all(path, [&](const Frame& frame) {
    EXPECT_EQ(frame.image.width, 64);
    EXPECT_NEAR(frame.image.planes[2].data[0], kRedV, 2);
  });
}

TEST(ClipWriter, SaysWhatItCannotWrite) {
  try {
    ClipWriter writer("/nowhere/at/all.mp4");
    FAIL() << "the folder does not exist";
  } catch (const MediaError& error) {
    EXPECT_STREQ(error.what(), "/nowhere/at/all.mp4: can't be written: No such file or directory");
  }
}

TEST(ClipWriter, WithoutPicturesLeavesNoFile) {
  TemporaryFolder folder;
  const fs::path path = folder / "none.mp4";
  {
    ClipWriter writer(path.string());
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(AnnotatedVideoWriter, DrawsInTheClassColourAndKeepsTheSourcesTimes) {
  const fs::path source = test_data() / "video" / "carpark_432p12.mp4";
  GANTRY_NEEDS(source);
  TemporaryFolder folder;
  const fs::path path = folder / "annotated.mp4";
  SourceConfig config;
  config.url = source.string();
  const auto reader = make_source(config);
  ASSERT_TRUE(reader->open());
  ClipOptions options;
  options.frame_rate = reader->stream().frame_rate;
  options.time_base_num = reader->stream().time_base_num;
  options.time_base_den = reader->stream().time_base_den;
  AnnotatedVideoWriter writer(path.string(), {"car"}, options);
  const auto decoder = make_ffmpeg_decoder();
  // A wide box whose left edge is sampled below; the second one's name is unknown.
  const Detections boxes{{{100, 100, 300, 300}, 0.875F, 0}, {{-10, -10, 50, 50}, 0.5F, 9}};
  const Reading written = read_all(*reader, *decoder, [&](const Frame& frame) {
    if (frame.pts < std::chrono::seconds(2)) {
      ASSERT_TRUE(writer.write(frame.image, frame.pts, boxes));
    }
  });
  ASSERT_TRUE(writer.finish());

  std::vector<Duration> expected(written.pts);
  std::erase_if(expected, [](Duration t) { return t >= std::chrono::seconds(2); });
  const std::uint32_t colour = class_color(0);
  const double r = colour >> 16 & 255, g = colour >> 8 & 255, b = colour & 255;
  const double y = 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255;
  const double v = 128 + (112 * r - 93.786 * g - 18.214 * b) / 255;
  int off = 0;
  const Reading back = read_all(path, [&](const Frame& frame) {
    const Plane& luma = frame.image.planes[0];
    const Plane& red = frame.image.planes[2];
    off += std::abs(luma.data[200 * luma.stride_bytes + 100] - y) > 60;
    off += std::abs(red.data[100 * red.stride_bytes + 50] - v) > 60;
  });
  EXPECT_EQ(back.pts, expected);
  EXPECT_EQ(off, 0) << "the box's edge must have its class's colour";
}

TEST(ClassColor, NeighboursAreFarApart) {
  for (int id = 0; id < 79; ++id) {
    const std::uint32_t a = class_color(id), b = class_color(id + 1);
    int distance = 0;
    for (const int shift : {0, 8, 16}) distance += std::abs(int(a >> shift & 255) - int(b >> shift & 255));
    EXPECT_GT(distance, 150) << id;
  }
}

/// Decodes a JPEG through the picture source and gives the pixel in the middle as B, G, R.
std::vector<int> middle_of_jpeg(const std::vector<std::uint8_t>& jpeg, int& width, int& height) {
  TemporaryFolder folder;
  write(folder / "x.jpg", jpeg);
  std::vector<int> pixel;
  read_all(folder / "x.jpg", [&](const Frame& frame) {
    width = frame.image.width;
    height = frame.image.height;
    const Plane& p = frame.image.planes[0];
    const std::uint8_t* at = p.data + p.stride_bytes * (height / 2) + std::ptrdiff_t{3} * (width / 2);
    pixel = {at[0], at[1], at[2]};
  });
  return pixel;
}

TEST(JpegEncoder, AnyFormatMatrixAndRangeKeepsItsColour) {
  JpegEncoder encoder;
  std::vector<std::uint8_t> jpeg;
  const std::vector<Picture> reds = [] {
    std::vector<Picture> all;
    all.push_back(plain(PixelFormat::kI420, 64, 48, kRedY, kRedU, kRedV));
    all.push_back(plain(PixelFormat::kNv12, 33, 17, kRedY, kRedU, kRedV));
    all.push_back(plain(PixelFormat::kBgr24, 1, 1, 255, 0, 0));
    all.push_back(plain(PixelFormat::kRgb24, 640, 1, 255, 0, 0));
    all.push_back(plain(PixelFormat::kI420, 64, 48, 76, 85, 255, ColorMatrix::kBt601, ColorRange::kFull));
    all.push_back(plain(PixelFormat::kI420, 63, 47, 76, 85, 255, ColorMatrix::kBt601, ColorRange::kFull));
    all.push_back(plain(PixelFormat::kI420, 64, 48, 63, 102, 240, ColorMatrix::kBt709));
    all.push_back(plain(PixelFormat::kNv12, 64, 48, 54, 99, 255, ColorMatrix::kBt709, ColorRange::kFull));
    return all;
  }();
  for (std::size_t i = 0; i < reds.size(); ++i) {
    ASSERT_TRUE(encoder.encode(reds[i].image, 95, jpeg)) << i;
    int width = 0, height = 0;
    const std::vector<int> pixel = middle_of_jpeg(jpeg, width, height);
    ASSERT_EQ(pixel.size(), 3U) << i;
    EXPECT_EQ(width, reds[i].image.width);
    EXPECT_EQ(height, reds[i].image.height);
    EXPECT_NEAR(pixel[0], 0, 6) << i;
    EXPECT_NEAR(pixel[1], 0, 6) << i;
    EXPECT_NEAR(pixel[2], 255, 6) << i;
  }
}

TEST(JpegEncoder, RefusesWhatJpegCannotHold) {
  JpegEncoder encoder;
  std::vector<std::uint8_t> jpeg;
  Image empty;
  const Result<void> result = encoder.encode(empty, 90, jpeg);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "a JPEG has 1 to 65500 pixels a side, not 0x0");
}

}  // namespace
}  // namespace gantry::media
