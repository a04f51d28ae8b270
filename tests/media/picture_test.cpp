// Still pictures: the pixels of cv2.imread, which reads JPEG through libjpeg-turbo with its default decode and honours
// EXIF orientation.
#include <cstdio>
// jpeglib.h wants <cstdio> first.
#include <jpeglib.h>

#include <algorithm>
#include <cstring>

#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

/// B, G, R pixels as libjpeg-turbo's own interface decodes them with every setting at its default.
std::vector<std::uint8_t> reference_decode(const std::vector<std::uint8_t>& jpeg, int& width, int& height) {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, jpeg.data(), static_cast<unsigned long>(jpeg.size()));
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_EXT_BGR;
  jpeg_start_decompress(&info);
  width = static_cast<int>(info.output_width);
  height = static_cast<int>(info.output_height);
  std::vector<std::uint8_t> pixels(std::size_t{3} * width * height);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels.data() + std::size_t{3} * width * info.output_scanline;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return pixels;
}

std::vector<std::uint8_t> pixels_of(const Image& image) {
  EXPECT_EQ(image.format, PixelFormat::kBgr24);
  std::vector<std::uint8_t> out;
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* row = image.planes[0].data + image.planes[0].stride_bytes * y;
    out.insert(out.end(), row, row + std::ptrdiff_t{3} * image.width);
  }
  return out;
}

TEST(Pictures, FolderOfCocoHasThePixelsEverybodyGets) {
  const fs::path folder = test_data() / "coco_val" / "images";
  GANTRY_NEEDS(folder);
  std::vector<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
  std::sort(files.begin(), files.end());
  SourceConfig config;
  config.url = folder.string();
  const auto source = make_source(config);
  ASSERT_TRUE(source->open());
  EXPECT_EQ(source->stream().frames, static_cast<std::int64_t>(files.size()));
  for (const fs::path& file : files) {
    const Result<Packet> packet = source->next();
    ASSERT_TRUE(packet) << packet.error().message;
    EXPECT_EQ(packet->name, file.stem().string());
    const Image& image = std::get<RawPayload>(packet->payload).image;
    int width = 0, height = 0;
    const std::vector<std::uint8_t> expected = reference_decode(bytes_of(file), width, height);
    ASSERT_EQ(image.width, width);
    ASSERT_EQ(image.height, height);
    ASSERT_TRUE(pixels_of(image) == expected) << file;
  }
  EXPECT_EQ(source->next().error().code, ErrorCode::kEndOfStream);
}

class StillFormat : public ::testing::TestWithParam<const char*> {};

TEST_P(StillFormat, LosslessPicturesKeepEveryPixel) {
  TemporaryFolder folder;
  const std::string ending = GetParam();
  // Random pixels, an odd size, no padding anywhere.
  std::vector<std::uint8_t> raw(std::size_t{3} * 37 * 23);
  std::uint32_t state = 99;
  for (std::uint8_t& byte : raw) byte = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24);
  write(folder / "x.raw", raw);
  const std::string lossless = ending == "webp" ? "-c:v libwebp -lossless 1 -pix_fmt bgra " : "";
  if (!ffmpeg("-f rawvideo -pix_fmt bgr24 -s 37x23 -i " + (folder / "x.raw").string() + " -frames:v 1 " + lossless +
              (folder / "x.").string() + ending))
    GTEST_SKIP() << "this FFmpeg cannot write " << ending;
  int seen = 0;
  read_all(folder / ("x." + ending), [&](const Frame& frame) {
    ++seen;
    EXPECT_EQ(frame.image.width, 37);
    EXPECT_EQ(frame.image.height, 23);
    EXPECT_TRUE(pixels_of(frame.image) == raw);
  });
  EXPECT_EQ(seen, 1);
}
INSTANTIATE_TEST_SUITE_P(Formats, StillFormat, ::testing::Values("png", "bmp", "ppm", "tiff", "webp"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(StillPng, GreyPaletteAlphaAnd16BitBecomeWhatImreadMakesOfThem) {
  TemporaryFolder folder;
  // One pixel value each: grey is repeated, alpha is dropped, 16 bits lose their low byte.
  struct Case {
    const char* pixel_format;
    std::vector<std::uint8_t> pixel;
    std::vector<int> bgr;
    int tolerance;
  };
  const Case cases[] = {
      {"gray", {77}, {77, 77, 77}, 0},
      {"ya8", {77, 10}, {77, 77, 77}, 0},
      {"rgba", {10, 20, 30, 40}, {30, 20, 10}, 0},
      {"rgb48be", {10, 200, 20, 200, 30, 200}, {30, 20, 10}, 1},
      {"gray16be", {77, 3}, {77, 77, 77}, 1},
  };
  for (const Case& c : cases) {
    std::vector<std::uint8_t> raw;
    for (int i = 0; i < 16 * 8; ++i) raw.insert(raw.end(), c.pixel.begin(), c.pixel.end());
    write(folder / "x.raw", raw);
    ASSERT_TRUE(ffmpeg("-f rawvideo -pix_fmt " + std::string(c.pixel_format) + " -s 16x8 -i " +
                       (folder / "x.raw").string() + " -frames:v 1 -pix_fmt " + c.pixel_format + " " +
                       (folder / "x.png").string()));
    read_all(folder / "x.png", [&](const Frame& frame) {
      const std::vector<std::uint8_t> pixels = pixels_of(frame.image);
      for (std::size_t i = 0; i < pixels.size(); ++i)
        ASSERT_NEAR(pixels[i], c.bgr[i % 3], c.tolerance) << c.pixel_format;
    });
  }
}

/// Puts an EXIF block with that orientation behind the JPEG's first marker.
std::vector<std::uint8_t> with_exif(std::vector<std::uint8_t> jpeg, std::uint8_t orientation, bool little_endian) {
  std::vector<std::uint8_t> block{0xFF, 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0};
  if (little_endian)
    block.insert(block.end(),
                 {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0});
  else
    block.insert(block.end(),
                 {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0});
  jpeg.insert(jpeg.begin() + 2, block.begin(), block.end());
  return jpeg;
}

TEST(Exif, OrientationIsHonouredLikeImread) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=48x32 -frames:v 1 " + (folder / "x.jpg").string()));
  const std::vector<std::uint8_t> plain = bytes_of(folder / "x.jpg");
  int width = 0, height = 0;
  const std::vector<std::uint8_t> stored = reference_decode(plain, width, height);
  const auto at = [&](int x, int y) { return stored.data() + 3 * (std::size_t(y) * width + x); };
  for (std::uint8_t orientation = 1; orientation <= 8; ++orientation)
    for (const bool little : {true, false}) {
      write(folder / "y.jpg", with_exif(plain, orientation, little));
      read_all(folder / "y.jpg", [&](const Frame& frame) {
        const bool on_its_side = orientation >= 5;
        ASSERT_EQ(frame.image.width, on_its_side ? height : width);
        ASSERT_EQ(frame.image.height, on_its_side ? width : height);
        // Where the picture's stored corners must stand (TIFF 6.0: which row and column is the 0th).
        const auto shown = [&](int x, int y) {
          return frame.image.planes[0].data + frame.image.planes[0].stride_bytes * y + std::ptrdiff_t{3} * x;
        };
        const int r = frame.image.width - 1, b = frame.image.height - 1;
        const std::pair<int, int> kTopLeft[8] = {{0, 0}, {r, 0}, {r, b}, {0, b}, {0, 0}, {r, 0}, {r, b}, {0, b}};
        const std::pair<int, int> kTopRight[8] = {{r, 0}, {0, 0}, {0, b}, {r, b}, {0, b}, {r, b}, {r, 0}, {0, 0}};
        const auto [lx, ly] = kTopLeft[orientation - 1];
        const auto [rx, ry] = kTopRight[orientation - 1];
        EXPECT_EQ(std::memcmp(shown(lx, ly), at(0, 0), 3), 0) << int(orientation);
        EXPECT_EQ(std::memcmp(shown(rx, ry), at(width - 1, 0), 3), 0) << int(orientation);
      });
    }
}

TEST(Pictures, TruncatedJpegIsShownAsFarAsItGoes) {
  TemporaryFolder folder;
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x240 -frames:v 1 " + (folder / "x.jpg").string()));
  std::vector<std::uint8_t> bytes = bytes_of(folder / "x.jpg");
  bytes.resize(bytes.size() * 2 / 3);
  write(folder / "x.jpg", bytes);
  int seen = 0;
  read_all(folder / "x.jpg", [&](const Frame& frame) {
    ++seen;
    EXPECT_EQ(frame.image.width, 320);
  });
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace gantry::media
