#include "gantry/vision/quality.hpp"

#include <gtest/gtest.h>

#include "support/pictures.hpp"

namespace gantry::vision {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::noise_picture;
using test::Picture;

Picture plain(int width, int height, std::uint8_t luma) {
  Picture picture = noise_picture(width, height, PixelFormat::kNv12, 1);
  std::fill_n(picture.bytes.begin(), width * height, luma);
  return picture;
}

TEST(Quality, PlainPicturesHaveTheirBrightnessAndNothingElse) {
  QualityMeter meter;
  const Quality black = meter.measure(plain(320, 180, 16).view(), TimePoint{});
  EXPECT_FLOAT_EQ(black.brightness, 0);
  EXPECT_FLOAT_EQ(black.contrast, 0);
  EXPECT_FLOAT_EQ(black.sharpness, 0);
  EXPECT_TRUE(black.covered);
  EXPECT_FALSE(black.frozen);
  EXPECT_FLOAT_EQ(meter.measure(plain(320, 180, 235).view(), TimePoint{}).brightness, 1);
  Picture full = plain(320, 180, 51);
  full.range = ColorRange::kFull;
  EXPECT_FLOAT_EQ(meter.measure(full.view(), TimePoint{}).brightness, 0.2F);
}

TEST(Quality, StripesHaveHalfTheContrastOfTheirStepAndBlurIsLessSharp) {
  Picture stripes = plain(640, 360, 0);
  stripes.range = ColorRange::kFull;
  Picture ramps = stripes;
  for (std::size_t i = 0; i < 640 * 360; ++i) {
    const std::size_t x = i % 640;
    stripes.bytes[i] = x / 7 % 2 == 0 ? 55 : 200;
    ramps.bytes[i] = static_cast<std::uint8_t>(x % 256);
  }
  QualityMeter meter;
  const Quality sharp = meter.measure(stripes.view(), TimePoint{});
  EXPECT_NEAR(sharp.contrast, 145 / 255.0 / 2, 0.01);
  EXPECT_NEAR(sharp.sharpness, 145 / 255.0 / 7 / 2, 0.01);
  EXPECT_FALSE(sharp.covered);
  const Quality smooth = meter.measure(ramps.view(), TimePoint{});
  EXPECT_LT(smooth.sharpness, sharp.sharpness / 2);
  EXPECT_GT(smooth.contrast, 0.2F);
  EXPECT_FALSE(smooth.covered) << "smooth, but there is something to see";
}

TEST(Quality, EveryFormatOfOneGreySceneAgrees) {
  QualityMeter meter;
  Picture grey = noise_picture(100, 80, PixelFormat::kBgr24, 3);
  for (std::size_t i = 0; i < grey.bytes.size(); ++i) grey.bytes[i] = grey.bytes[i / 3 * 3];
  const Quality bgr = meter.measure(grey.view(), TimePoint{});
  Picture luma = plain(100, 80, 0);
  luma.range = ColorRange::kFull;
  for (std::size_t i = 0; i < 100 * 80; ++i) luma.bytes[i] = grey.bytes[3 * i];
  const Quality nv12 = meter.measure(luma.view(), TimePoint{});
  EXPECT_NEAR(bgr.brightness, nv12.brightness, 0.005);
  EXPECT_NEAR(bgr.contrast, nv12.contrast, 0.005);
  EXPECT_NEAR(bgr.sharpness, nv12.sharpness, 0.005);
}

TEST(Quality, FrozenOnlyAfterAWhileOfTheSamePicture) {
  QualityMeter meter;
  TimePoint now{seconds(100)};
  const auto show = [&](const Picture& picture) {
    now += milliseconds(500);
    return meter.measure(picture.view(), now).frozen;
  };
  const Picture still = noise_picture(320, 180, PixelFormat::kI420, 1);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(show(still)) << i;
  EXPECT_TRUE(show(still));
  Picture moved = still;
  for (std::size_t i = 0; i < 320 * 20; ++i) moved.bytes[i] = static_cast<std::uint8_t>(moved.bytes[i] + 9);
  EXPECT_FALSE(show(moved));
  EXPECT_FALSE(show(moved));
  EXPECT_FALSE(show(noise_picture(160, 90, PixelFormat::kI420, 1))) << "another size is another picture";
}

TEST(Quality, WhatLetterboxingMeasuredIsJudgedTheSameWay) {
  QualityMeter meter;
  TimePoint now{seconds(100)};
  LetterboxQuality street{.brightness = 0.4F, .contrast = 0.2F, .sharpness = 0.05F, .covered = 0.3F};
  const auto show = [&](const LetterboxQuality& measured) {
    now += milliseconds(500);
    return meter.measure(measured, now);
  };
  EXPECT_FLOAT_EQ(show(street).brightness, 0.4F);
  EXPECT_FALSE(show(street).covered) << "a third that shows nothing is a sky";
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(show(street).frozen) << i;
  EXPECT_TRUE(show(street).frozen);
  street.sharpness += 1e-6F;
  EXPECT_FALSE(show(street).frozen) << "noise is enough";
  EXPECT_TRUE(show({.brightness = 0.1F, .contrast = 0.01F, .sharpness = 0.005F}).covered);
  EXPECT_FALSE(show({.brightness = 0.1F, .contrast = 0.01F, .sharpness = 0.02F}).covered) << "fine grain is something";
  // A camera that moves to the CPU and back: neither is taken for the picture before.
  const Picture still = noise_picture(320, 180, PixelFormat::kI420, 1);
  for (int i = 0; i < 12; ++i) {
    now += milliseconds(500);
    EXPECT_FALSE(meter.measure(still.view(), now).frozen);
    EXPECT_FALSE(show(street).frozen);
  }
}

TEST(Quality, TinyPicturesAreMeasuredToo) {
  QualityMeter meter;
  EXPECT_NEAR(meter.measure(plain(1, 1, 126).view(), TimePoint{}).brightness, 0.5, 0.01);
}

}  // namespace
}  // namespace gantry::vision
