// Quality out of letterboxed pixels: known pictures, and padding that does not count.
#include "gantry/vision/letterbox_quality.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gantry::vision {
namespace {

/// A letterboxed input whose picture has grey(x, y) and whose padding is as letterbox_reference leaves it.
template <typename Grey>
LetterboxQuality quality_of(const LetterboxGeometry& g, Grey grey) {
  const std::size_t area = static_cast<std::size_t>(g.input_width) * static_cast<std::size_t>(g.input_height);
  std::vector<float> planes(3 * area, static_cast<float>(kPadding) / 255.0F);
  for (int y = g.top; y < g.top + g.inner_height; ++y)
    for (int x = g.left; x < g.left + g.inner_width; ++x)
      for (std::size_t channel = 0; channel < 3; ++channel)
        planes[channel * area + static_cast<std::size_t>(y) * static_cast<std::size_t>(g.input_width) +
               static_cast<std::size_t>(x)] = static_cast<float>(grey(x, y)) / 255.0F;
  return letterbox_quality(letterbox_quality_reference(planes.data(), g), g);
}

TEST(LetterboxQuality, AnEvenPictureIsCovered) {
  const LetterboxQuality q = quality_of(letterbox_geometry(1280, 720, 640, 640), [](int, int) { return 51; });
  EXPECT_FLOAT_EQ(q.brightness, 0.2F);
  EXPECT_EQ(q.contrast, 0.0F);
  EXPECT_EQ(q.sharpness, 0.0F);
  EXPECT_EQ(q.covered, 1.0F);
}

TEST(LetterboxQuality, AChessboardIsSharp) {
  const LetterboxQuality q =
      quality_of(letterbox_geometry(1280, 720, 640, 384), [](int x, int y) { return (x + y) % 2 == 0 ? 255 : 0; });
  EXPECT_NEAR(q.brightness, 0.5F, 1e-6F);
  EXPECT_NEAR(q.contrast, 0.5F, 1e-6F);
  EXPECT_FLOAT_EQ(q.sharpness, 1.0F);
  EXPECT_EQ(q.covered, 0.0F);
}

TEST(LetterboxQuality, HalfACoveredLensIsHalf) {
  const LetterboxQuality q = quality_of(letterbox_geometry(640, 640, 640, 640),
                                        [](int x, int y) { return x < 320 ? 90 : (x * 7 + y * 13) % 200; });
  EXPECT_EQ(q.covered, 0.5F);
}

TEST(LetterboxQuality, OddBordersCountOnlyThePicture) {
  // 99x1001 in 62x70 leaves odd margins; the picture is one pixel's brightness off the padding.
  const LetterboxGeometry g = letterbox_geometry(99, 1001, 62, 70);
  ASSERT_EQ(g.left % 2, 1);
  const LetterboxQuality q = quality_of(g, [](int, int) { return 255; });
  EXPECT_EQ(q.brightness, 1.0F);
  EXPECT_EQ(q.sharpness, 0.0F);
  const LetterboxQuality point = quality_of(letterbox_geometry(1, 1, 32, 32), [](int, int) { return 0; });
  EXPECT_EQ(point.brightness, 0.0F);
}

}  // namespace
}  // namespace gantry::vision
