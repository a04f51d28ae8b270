#include "gantry/vision/letterbox.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "gantry/core/expects.hpp"
#include "support/pictures.hpp"

namespace gantry::vision {
namespace {

using test::noise_picture;
using test::Picture;

std::size_t floats(const LetterboxGeometry& g) {
  return static_cast<std::size_t>(g.input_width) * static_cast<std::size_t>(g.input_height) * 3;
}

std::vector<float> reference(const Picture& picture, const LetterboxGeometry& g) {
  std::vector<float> planes(floats(g));
  letterbox_reference(picture.view(), g, planes.data());
  return planes;
}

/// FNV-1a of the planes as bytes.
std::uint64_t fingerprint(const std::vector<float>& planes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const float value : planes) {
    hash = (hash ^ static_cast<std::uint64_t>(std::lround(value * 255.0F))) * 0x100000001b3ULL;
  }
  return hash;
}

TEST(Letterbox, PixelsAreThoseOfUltralyticsAndOpenCv) {
  // Fingerprints of LetterBox((height, width), auto=False) of Ultralytics 8.4.190 with OpenCV, on the same noise.
  struct Case {
    int source_width, source_height, width, height;
    std::uint64_t fingerprint;
  };
  constexpr Case kCases[] = {
      {1, 1, 32, 32, 0xa2699fca65075f25ULL},      {37, 23, 64, 64, 0x3ebfe9197e36fadbULL},
      {23, 37, 64, 64, 0xe348fa216f01c037ULL},    {101, 57, 96, 64, 0x4748d5ec9a34f4d3ULL},
      {128, 72, 64, 64, 0x3fbc7d15949f91a3ULL},   {96, 96, 96, 96, 0x4d1395c88d9ded14ULL},
      {300, 41, 96, 32, 0x0f5a1cf26968a5baULL},   {64, 35, 160, 96, 0xbe4cdd68220fd6b8ULL},
      {333, 250, 128, 96, 0x2be5c0df001c2152ULL},
  };
  for (const Case& c : kCases) {
    const Picture picture = noise_picture(c.source_width, c.source_height, PixelFormat::kBgr24, 7);
    const auto g = letterbox_geometry(c.source_width, c.source_height, c.width, c.height);
    EXPECT_EQ(fingerprint(reference(picture, g)), c.fingerprint) << c.source_width << "x" << c.source_height;
  }
}

TEST(Letterbox, RectInputsAreThoseOfUltralytics) {
  // Output sizes of LetterBox((640, 640), auto=True, stride=32).
  constexpr int kCases[][4] = {{1280, 720, 640, 384}, {640, 352, 640, 352},   {768, 432, 640, 384},
                               {720, 1280, 384, 640}, {1920, 1080, 640, 384}, {500, 375, 640, 480},
                               {427, 640, 448, 640},  {1280, 769, 640, 384},  {640, 640, 640, 640},
                               {2, 1000, 32, 640},    {641, 479, 640, 480}};
  for (const auto& c : kCases) {
    EXPECT_EQ(rect_input(c[0], c[1], 640, 32), (InputSize{c[2], c[3]})) << c[0] << "x" << c[1];
    const auto in_rect = letterbox_geometry(c[0], c[1], c[2], c[3]);
    const auto in_square = letterbox_geometry(c[0], c[1], 640, 640);
    EXPECT_EQ(in_rect.inner_width, in_square.inner_width);
    EXPECT_EQ(in_rect.inner_height, in_square.inner_height);
  }
}

TEST(Letterbox, FastPathsEqualTheReferenceBitForBit) {
  struct Size {
    int width, height;
  };
  constexpr Size kSources[] = {{1, 1},    {2, 1},    {3, 5},     {16, 16},   {31, 17},    {64, 36},    {65, 37},
                               {128, 72}, {200, 31}, {640, 352}, {641, 359}, {1280, 720}, {16384, 16}, {16, 4000}};
  constexpr Size kInputs[] = {{32, 32}, {640, 384}};
  constexpr PixelFormat kFormats[] = {PixelFormat::kNv12, PixelFormat::kI420, PixelFormat::kBgr24, PixelFormat::kRgb24};
  Letterboxer fast;
  Letterboxer portable(Letterboxer::Path::kPortable);
  unsigned seed = 1;
  for (const Size& source : kSources) {
    for (const Size& input : kInputs) {
      for (const PixelFormat format : kFormats) {
        Picture picture = noise_picture(source.width, source.height, format, seed, seed % 3 == 0 ? 13 : 0);
        picture.matrix = static_cast<ColorMatrix>(seed % 3);
        picture.range = static_cast<ColorRange>(seed % 2);
        ++seed;
        const auto g = letterbox_geometry(source.width, source.height, input.width, input.height);
        const auto expected = reference(picture, g);
        for (Letterboxer* letterboxer : {&fast, &portable}) {
          constexpr float kSentinel = -7;
          std::vector<float> planes(floats(g) + 1, kSentinel);
          letterboxer->run(picture.view(), g, planes.data());
          ASSERT_EQ(planes.back(), kSentinel) << "wrote past the input";
          planes.pop_back();
          ASSERT_EQ(planes, expected) << source.width << "x" << source.height << " " << to_string(format) << " into "
                                      << input.width << "x" << input.height
                                      << (letterboxer == &fast ? "" : ", portable");
        }
      }
    }
  }
}

TEST(Letterbox, PaddedInputsKeepTheirPadding) {
  const Picture first = noise_picture(100, 50, PixelFormat::kNv12, 1);
  const Picture second = noise_picture(100, 50, PixelFormat::kNv12, 2);
  const auto g = letterbox_geometry(100, 50, 64, 64);
  std::vector<float> planes(floats(g));
  Letterboxer letterboxer;
  letterboxer.run(first.view(), g, planes.data());
  letterboxer.run(second.view(), g, planes.data(), true);
  EXPECT_EQ(planes, reference(second, g));
}

TEST(Letterbox, BoxesComeBackToTheSourceAndStayInside) {
  const auto g = letterbox_geometry(1280, 720, 640, 640);
  EXPECT_EQ(g.top, 140);
  EXPECT_EQ(g.left, 0);
  const Box inside = to_source(g, {10, 150, 110, 250});
  EXPECT_FLOAT_EQ(inside.x1, 20);
  EXPECT_FLOAT_EQ(inside.y1, 20);
  EXPECT_FLOAT_EQ(inside.x2, 220);
  EXPECT_FLOAT_EQ(inside.y2, 220);
  const Box outside = to_source(g, {-5, 100, 900, 700});
  EXPECT_FLOAT_EQ(outside.x1, 0);
  EXPECT_FLOAT_EQ(outside.y1, 0);
  EXPECT_FLOAT_EQ(outside.x2, 1280);
  EXPECT_FLOAT_EQ(outside.y2, 720);
}

TEST(Letterbox, RefusesEmptyAndForeignSizes) {
  EXPECT_THROW(static_cast<void>(letterbox_geometry(0, 10, 32, 32)), PreconditionError);
  EXPECT_THROW(static_cast<void>(rect_input(10, 10, 0, 32)), PreconditionError);
  const Picture picture = noise_picture(10, 10, PixelFormat::kNv12, 1);
  const auto g = letterbox_geometry(11, 10, 32, 32);
  std::vector<float> planes(floats(g));
  EXPECT_THROW(Letterboxer().run(picture.view(), g, planes.data()), PreconditionError);
}

}  // namespace
}  // namespace gantry::vision
