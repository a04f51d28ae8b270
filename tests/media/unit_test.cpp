// The room's small parts, without files, network or FFmpeg programs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "gantry/core/expects.hpp"
#include "gantry/media/backoff.hpp"
#include "gantry/media/pools.hpp"
#include "gantry/media/rate_limiter.hpp"
#include "gantry/media/url.hpp"
#include "media/orient.hpp"
#include "media/picture.hpp"
#include "media/picture_pool.hpp"

namespace gantry::media {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, DoublesUpToTheLongestAndStaysInItsHalf) {
  Backoff backoff({500ms, 30s}, 7);
  Duration period = 500ms;
  for (int i = 0; i < 12; ++i) {
    const Duration wait = backoff.next();
    EXPECT_LE(wait, period) << i;
    EXPECT_GE(wait, period / 2) << i;
    period = std::min<Duration>(2 * period, 30s);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), 500ms);
  EXPECT_GE(backoff.longest(), 15s);
  EXPECT_LE(backoff.longest(), 30s);
}

TEST(Backoff, SameSeedSameWaitsOtherSeedOtherWaits) {
  Backoff a({1s, 8s}, 1), b({1s, 8s}, 1), c({1s, 8s}, 2);
  bool differs = false;
  for (int i = 0; i < 8; ++i) {
    const Duration wait = a.next();
    EXPECT_EQ(wait, b.next());
    differs = differs || wait != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Backoff, CamerasOfOneSwitchDoNotComeBackInStep) {
  std::set<Duration> waits;
  for (std::uint64_t camera = 0; camera < 200; ++camera) waits.insert(Backoff({1s, 30s}, camera).next() / 1ms * 1ms);
  EXPECT_GT(waits.size(), 150U) << "200 cameras spread over half a second";
}

TEST(Backoff, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Backoff({0s, 30s}, 0), PreconditionError);
  EXPECT_THROW(Backoff({2s, 1s}, 0), PreconditionError);
}

/// How many of `seconds` seconds of pictures at `camera_fps` get through.
int admitted(RateLimiter& limiter, double camera_fps, int seconds, Duration start = {}) {
  int count = 0;
  const int total = static_cast<int>(camera_fps * seconds);
  for (int i = 0; i < total; ++i) count += limiter.admit(start + Duration{std::llround(1e9 * i / camera_fps)}) ? 1 : 0;
  return count;
}

TEST(RateLimiter, HoldsTheConfiguredRateOverTime) {
  for (const auto& [camera, wanted] : {std::pair{30.0, 10.0}, {25.0, 12.0}, {29.97, 10.0}, {30.0, 29.0}, {15.0, 0.5}}) {
    RateLimiter limiter;
    limiter.set_rate(wanted);
    EXPECT_NEAR(admitted(limiter, camera, 100), 100 * wanted, 2) << camera << " to " << wanted;
  }
}

TEST(RateLimiter, LetsEverythingThroughAtTheCamerasOwnRateAndAbove) {
  for (const double wanted : {0.0, 25.0, 60.0}) {
    RateLimiter limiter;
    limiter.set_rate(wanted);
    EXPECT_EQ(admitted(limiter, 25, 20), 500) << wanted;
  }
}

TEST(RateLimiter, AJumpInTimeNeitherBlocksNorFloods) {
  RateLimiter limiter;
  limiter.set_rate(5);
  EXPECT_NEAR(admitted(limiter, 25, 10), 50, 1);
  EXPECT_NEAR(admitted(limiter, 25, 10, 1h), 50, 1);
  EXPECT_NEAR(admitted(limiter, 25, 10, 1s), 50, 1);
}

TEST(RedactUrl, PasswordsNeverShow) {
  const std::pair<const char*, const char*> kCases[] = {
      {"rtsp://admin:hunter2@10.0.0.5:554/ch1", "rtsp://admin:***@10.0.0.5:554/ch1"},
      {"rtsp://admin:hun@ter2/3@cam/x", "rtsp://admin:***@cam/x"},
      {"rtsp://admin:hunter2@cam/a@b", "rtsp://admin:***@b"},  // could be a password with both in it
      {"rtsp://admin:p@ss@cam/x", "rtsp://admin:***@cam/x"},
      {"rtsp://admin:p/w@cam/x", "rtsp://admin:***@cam/x"},
      {"rtsp://admin:p#w?@cam/x", "rtsp://admin:***@cam/x"},
      {"RTSP://:hunter2@cam/x", "RTSP://:***@cam/x"},
      {"rtsp://token-only@cam/x", "rtsp://***@cam/x"},
      {"rtsp://cam:554/a@b", "rtsp://cam:554/a@b"},
      {"http://cam/video.cgi?user=bob&password=hunter2&fps=5", "http://cam/video.cgi?user=***&password=***&fps=5"},
      {"http://cam/v?Access_Token=abc;ch=1#f", "http://cam/v?Access_Token=***;ch=1#f"},
      {"/data/a:b@c.mp4", "/data/a:b@c.mp4"},
      {"rtsp://cam/plain", "rtsp://cam/plain"},
      {"", ""},
  };
  for (const auto& [url, shown] : kCases) EXPECT_EQ(redact_url(url), shown) << url;
}

TEST(UrlScheme, LowerCaseOrEmpty) {
  EXPECT_EQ(url_scheme("RTSP://x"), "rtsp");
  EXPECT_EQ(url_scheme("/a/b.mp4"), "");
  EXPECT_EQ(url_scheme("://x"), "");
  EXPECT_EQ(url_scheme("a b://x"), "");
}

/// Where EXIF says that the stored pixel (x, y) of a w x h picture stands when it is upright (TIFF 6.0, tag 274).
std::pair<int, int> upright(int exif, int x, int y, int w, int h) {
  switch (exif) {
    case 2:
      return {w - 1 - x, y};
    case 3:
      return {w - 1 - x, h - 1 - y};
    case 4:
      return {x, h - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {h - 1 - y, x};
    case 7:
      return {h - 1 - y, w - 1 - x};
    case 8:
      return {y, w - 1 - x};
    default:
      return {x, y};
  }
}

TEST(Orient, EveryExifOrientationAndPixelSize) {
  constexpr int kWidth = 67, kHeight = 35;  // more than one tile, and no multiple of it
  for (int exif = 1; exif <= 8; ++exif)
    for (int bytes = 1; bytes <= 4; ++bytes) {
      const int in_stride = kWidth * bytes + 5;
      std::vector<std::uint8_t> in(static_cast<std::size_t>(in_stride) * kHeight);
      for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(i * 131 + i / 251);
      const int out_width = exif >= 5 ? kHeight : kWidth, out_height = exif >= 5 ? kWidth : kHeight;
      const int out_stride = out_width * bytes + 3;
      std::vector<std::uint8_t> out(static_cast<std::size_t>(out_stride) * out_height, 0xEE), expected = out;
      for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x) {
          const auto [ux, uy] = upright(exif, x, y, kWidth, kHeight);
          for (int b = 0; b < bytes; ++b)
            expected[uy * out_stride + ux * bytes + b] = in[y * in_stride + x * bytes + b];
        }
      turn_plane(in.data(), in_stride, kWidth, kHeight, bytes, orientation_of_exif(exif), out.data(), out_stride);
      EXPECT_TRUE(out == expected) << "orientation " << exif << ", " << bytes << " bytes; padding must stay as it was";
    }
}

TEST(PicturePool, ReusesItsPicturesAndSurvivesItself) {
  quiet_ffmpeg_log();  // it complains of impossible sizes
  StorageRef last;
  {
    PicturePool pool;
    const std::uint8_t* first = nullptr;
    {
      const PictureLoan loan = pool.borrow(AV_PIX_FMT_BGR24, 40, 30);
      ASSERT_TRUE(loan);
      first = loan.frame->data[0];
    }
    PictureLoan again = pool.borrow(AV_PIX_FMT_BGR24, 40, 30);
    EXPECT_EQ(again.frame->data[0], first);
    PictureLoan second = pool.borrow(AV_PIX_FMT_BGR24, 40, 30);
    EXPECT_NE(second.frame->data[0], first);
    EXPECT_FALSE(pool.borrow(AV_PIX_FMT_BGR24, 0, 30));
    EXPECT_FALSE(pool.borrow(AV_PIX_FMT_BGR24, 1'000'000, 1'000'000));
    last = again.owner;
  }
  last.reset();  // the sanitizers would complain if the pool had taken the memory with it
}

TEST(PicturePool, TheReadingCountsWhatAllPoolsHaveLent) {
  // Of a size that no other test borrows, because the reading is of the whole process.
  const auto reading = [](int width, int height) {
    const auto all = picture_pools();
    EXPECT_EQ(all.name, "pictures");
    const auto found = std::find_if(all.classes.begin(), all.classes.end(), [&](const auto& one) {
      return one.block_bytes == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3;
    });
    return found == all.classes.end() ? memory::SizeClassStats{} : *found;
  };
  auto one = std::make_unique<PicturePool>();
  PicturePool other;
  EXPECT_EQ(reading(48, 36).leases, 0U) << "a pool that has lent nothing has no size yet";
  PictureLoan first = one->borrow(AV_PIX_FMT_BGR24, 48, 36);
  PictureLoan second = one->borrow(AV_PIX_FMT_BGR24, 48, 36);
  const PictureLoan third = other.borrow(AV_PIX_FMT_BGR24, 48, 36);
  EXPECT_EQ(reading(48, 36).in_use, 3U);
  EXPECT_EQ(reading(48, 36).blocks, 3U);
  EXPECT_EQ(reading(48, 36).high_water, 3U) << "two of one pool, one of the other";
  second = {};
  EXPECT_EQ(reading(48, 36).in_use, 2U);
  EXPECT_EQ(reading(48, 36).blocks, 3U) << "what came back is kept";
  EXPECT_EQ(reading(48, 36).high_water, 3U);
  second = one->borrow(AV_PIX_FMT_BGR24, 48, 36);
  EXPECT_EQ(reading(48, 36).blocks, 3U) << "and lent again";
  EXPECT_EQ(reading(48, 36).leases, 4U);
  one.reset();
  EXPECT_EQ(reading(48, 36).in_use, 3U) << "loans outlive their pool";
  first = second = {};
  EXPECT_EQ(reading(48, 36).in_use, 1U) << "a pool goes with its last loan";
  EXPECT_FALSE(other.borrow(AV_PIX_FMT_BGR24, 1'000'000, 1'000'000));
  EXPECT_EQ(reading(48, 36).exhausted, 1U);
}

TEST(Exif, DamagedBlocksMeanUpright) {
  EXPECT_EQ(exif_orientation({}), 1);
  std::vector<std::uint8_t> jpeg{0xFF, 0xD8, 0xFF, 0xE1, 0, 34, 'E', 'x', 'i',  'f',  0,    0,   'I', 'I',
                                 42,   0,    8,    0,    0, 0,  1,   0,   0x12, 0x01, 3,    0,   1,   0,
                                 0,    0,    6,    0,    0, 0,  0,   0,   0,    0,    0xFF, 0xDA};
  EXPECT_EQ(exif_orientation(jpeg), 6);
  for (std::size_t length = 0; length < jpeg.size(); ++length)
    EXPECT_TRUE(std::set<int>({1, 6}).contains(exif_orientation(std::span(jpeg).first(length))));
  jpeg[30] = 9;  // no such orientation
  EXPECT_EQ(exif_orientation(jpeg), 1);
  jpeg[16] = 0xFF;  // the directory lies outside
  jpeg[19] = 0xFF;
  EXPECT_EQ(exif_orientation(jpeg), 1);
}

}  // namespace
}  // namespace gantry::media
