#include "gantry/vision/color.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "support/pictures.hpp"
extern "C" {
#include <libswscale/swscale.h>
}

namespace gantry::vision {
namespace {

using test::noise_picture;
using test::Picture;

std::vector<std::uint8_t> by_swscale(const Picture& picture) {
  const bool pairs = picture.format == PixelFormat::kNv12;
  SwsContext* context =
      sws_getContext(picture.width, picture.height, pairs ? AV_PIX_FMT_NV12 : AV_PIX_FMT_YUV420P, picture.width,
                     picture.height, AV_PIX_FMT_BGR24, SWS_BICUBIC, nullptr, nullptr, nullptr);
  constexpr int kMatrices[] = {SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_BT2020};
  const int* matrix = sws_getCoefficients(kMatrices[static_cast<int>(picture.matrix)]);
  sws_setColorspaceDetails(context, matrix, picture.range == ColorRange::kFull ? 1 : 0, matrix, 1, 0, 1 << 16, 1 << 16);
  const Image image = picture.view();
  const std::uint8_t* planes[4] = {image.planes[0].data, image.planes[1].data, image.planes[2].data, nullptr};
  const int strides[4] = {static_cast<int>(image.planes[0].stride_bytes),
                          static_cast<int>(image.planes[1].stride_bytes),
                          static_cast<int>(image.planes[2].stride_bytes), 0};
  std::vector<std::uint8_t> bgr(static_cast<std::size_t>(picture.width * picture.height * 3));
  std::uint8_t* out[4] = {bgr.data(), nullptr, nullptr, nullptr};
  const int out_strides[4] = {picture.width * 3, 0, 0, 0};
  sws_scale(context, planes, strides, 0, picture.height, out, out_strides);
  sws_freeContext(context);
  return bgr;
}

/// OpenCV reads I420 video through this very conversion.
TEST(ToBgr, I420IsWhatSwscaleMakesOfIt) {
  for (const ColorMatrix matrix : {ColorMatrix::kBt601, ColorMatrix::kBt709, ColorMatrix::kBt2020}) {
    for (const ColorRange range : {ColorRange::kLimited, ColorRange::kFull}) {
      Picture picture = noise_picture(128, 64, PixelFormat::kI420, 3);
      picture.matrix = matrix;
      picture.range = range;
      std::vector<std::uint8_t> bgr;
      to_bgr(picture.view(), bgr);
      const auto expected = by_swscale(picture);
      int worst = 0;
      for (std::size_t i = 0; i < bgr.size(); ++i) worst = std::max(worst, std::abs(bgr[i] - expected[i]));
      // Its vector code rounds as we do; where a build has only its tables it may differ by one.
      EXPECT_LE(worst, 1) << "matrix " << static_cast<int>(matrix) << ", range " << static_cast<int>(range);
    }
  }
}

TEST(ToBgr, Nv12AndI420OfTheSameSamplesAgree) {
  const Picture planar = noise_picture(62, 33, PixelFormat::kI420, 5);
  Picture pairs = planar;
  pairs.format = PixelFormat::kNv12;
  const std::size_t luma = 62 * 33;
  const std::size_t chroma = 31 * 17;
  for (std::size_t i = 0; i < chroma; ++i) {
    pairs.bytes[luma + 2 * i] = planar.bytes[luma + i];
    pairs.bytes[luma + 2 * i + 1] = planar.bytes[luma + chroma + i];
  }
  std::vector<std::uint8_t> from_planar;
  std::vector<std::uint8_t> from_pairs;
  to_bgr(planar.view(), from_planar);
  to_bgr(pairs.view(), from_pairs);
  EXPECT_EQ(from_planar, from_pairs);
}

TEST(ToBgr, BlackWhiteAndGreyOfBothRanges) {
  struct Case {
    std::uint8_t luma;
    ColorRange range;
    int expected;
  };
  for (const Case& c :
       {Case{16, ColorRange::kLimited, 0}, Case{235, ColorRange::kLimited, 255}, Case{0, ColorRange::kLimited, 0},
        Case{0, ColorRange::kFull, 0}, Case{255, ColorRange::kFull, 255}, Case{114, ColorRange::kFull, 114}}) {
    Picture picture;
    picture.width = picture.height = 2;
    picture.format = PixelFormat::kI420;
    picture.range = c.range;
    picture.bytes = {c.luma, c.luma, c.luma, c.luma, 128, 128};
    std::vector<std::uint8_t> bgr;
    to_bgr(picture.view(), bgr);
    for (const std::uint8_t value : bgr) EXPECT_NEAR(value, c.expected, 1) << static_cast<int>(c.luma);
  }
}

}  // namespace
}  // namespace gantry::vision
