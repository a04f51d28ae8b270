// Files: every picture comes out, with the container's own time stamps.
#include <algorithm>
#include <sstream>

#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

/// Time stamps of the packets as ffprobe prints them, in nanoseconds, in order of showing.
std::vector<Duration> probed_pts(const fs::path& path) {
  std::istringstream lines(
      output_of("ffprobe -v error -select_streams v:0 -show_entries packet=pts:stream=time_base -of csv=p=0 '" +
                path.string() + "'"));
  std::vector<std::int64_t> ticks;
  std::int64_t num = 0, den = 1;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t slash = line.find('/');
    if (slash == line.npos) {
      if (!line.empty()) ticks.push_back(std::stoll(line));
    } else {
      num = std::stoll(line.substr(0, slash));
      den = std::stoll(line.substr(slash + 1));
    }
  }
  std::sort(ticks.begin(), ticks.end());
  std::vector<Duration> out;
  for (const std::int64_t t : ticks) out.emplace_back((t * num * 2'000'000'000 + den) / (2 * den));
  return out;
}

struct Clip {
  const char* name;
  std::size_t frames;
  ColorMatrix matrix;
};

class TestVideo : public ::testing::TestWithParam<Clip> {};

TEST_P(TestVideo, EveryFrameComesOutWithTheContainersTimeStamp) {
  const fs::path path = test_data() / "video" / GetParam().name;
  GANTRY_NEEDS(path);
  for (const int threads : {1, 3}) {
    int wrong = 0;
    const Reading reading = read_all(
        path,
        [&](const Frame& frame) {
          wrong += frame.image.format != PixelFormat::kI420 || frame.image.matrix != GetParam().matrix ||
                   frame.image.range != ColorRange::kLimited;
        },
        threads);
    EXPECT_EQ(reading.end.code, ErrorCode::kEndOfStream);
    EXPECT_EQ(reading.packets, GetParam().frames);
    EXPECT_EQ(reading.lost, 0U);
    EXPECT_EQ(reading.stats.converted, 0U) << "I420 must come out without a copy";
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(reading.pts, probed_pts(path));
    EXPECT_EQ(reading.pts.size(), GetParam().frames);
  }
}

INSTANTIATE_TEST_SUITE_P(Videos, TestVideo,
                         ::testing::Values(Clip{"motorway_720p30.mp4", 335, ColorMatrix::kBt709},
                                           Clip{"suburban_352p24.mp4", 905, ColorMatrix::kBt601},
                                           Clip{"carpark_432p12.mp4", 377, ColorMatrix::kBt601}),
                         [](const auto& parameter) { return std::string(parameter.param.name).substr(0, 7); });

}  // namespace
}  // namespace gantry::media
