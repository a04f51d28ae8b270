#include "gantry/app/stream_bench.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "app/fakes.hpp"
#include "media/support.hpp"

namespace gantry::app {
namespace {

using std::chrono::milliseconds;

TEST(SearchCapacity, FindsTheMostThatHolds) {
  for (const int truth : {1, 2, 7, 100, 373, 999})
    for (const int start : {1, 8, 345, 1000}) {
      int probes = 0;
      const int found = search_capacity(start, 1000, [&](int cameras) {
        ++probes;
        return cameras <= truth;
      });
      EXPECT_LE(found, truth);
      EXPECT_GE(found + std::max(1, found / 50), truth) << "from " << start;
      EXPECT_LE(probes, 45);
    }
}

TEST(SearchCapacity, KnowsItsEnds) {
  EXPECT_EQ(search_capacity(8, 64, [](int) { return true; }), 64);
  EXPECT_EQ(search_capacity(8, 64, [](int) { return false; }), 0);
  EXPECT_THROW((void)search_capacity(0, 64, [](int) { return true; }), PreconditionError);
}

using test::FakeBackend;

class StreamBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = folder_ / "clip.mp4";
    ASSERT_TRUE(media::testing::ffmpeg(
        "-f lavfi -i testsrc2=size=96x64:rate=20:duration=1 -pix_fmt yuv420p -c:v libx264 -bf 0 -g 10 " +
        path.string()));
    options_.clips = {media::MemoryClip::load(path.string())};
    options_.frame_rate = 20;
  }
  std::unique_ptr<System> system(FakeBackend::Delay delay = {}) {
    std::vector<std::unique_ptr<engine::Backend>> backends;
    backends.push_back(std::make_unique<FakeBackend>(1, 1, std::move(delay)));
    auto made = std::make_unique<System>(config::Config{}, std::move(backends), clock_, [](auto...) {});
    made->start();
    return made;
  }
  media::testing::TemporaryFolder folder_;
  SteadyClock clock_;
  StreamBenchOptions options_;
};

TEST_F(StreamBenchTest, CountsWhatCamerasSentAndWhatCameOfIt) {
  const auto running = system();
  StreamBench bench(*running, options_, {});
  bench.set_cameras(3);
  const auto report = bench.measure(milliseconds(1000), milliseconds(100));
  EXPECT_EQ(report.cameras, 3);
  EXPECT_EQ(report.live, 3);
  EXPECT_GT(report.frames.published(), 30);
  EXPECT_LE(report.frames.received, 75);
  EXPECT_GT(report.p50_ms, 0);
  EXPECT_GE(report.p99_ms, report.p50_ms);
  EXPECT_DOUBLE_EQ(report.mean_batch, 1);
  EXPECT_GT(report.rss_bytes, 0);
  EXPECT_FALSE(report.bottleneck.empty());
  bench.set_cameras(1);
  EXPECT_EQ(running->cameras().size(), 1);
  bench.set_cameras(0);
  const auto totals = running->totals();
  EXPECT_EQ(totals.received, totals.published() + totals.dropped());
}

TEST_F(StreamBenchTest, MoreThanTheBackEndCanDoDoesNotHold) {
  const auto running = system([](const engine::Batch&) { return milliseconds(40); });
  StreamBench bench(*running, options_, {});
  bench.set_cameras(8);  // 160 frames a second for a back end that does 25
  const auto report = bench.measure(milliseconds(1000), milliseconds(200));
  EXPECT_FALSE(report.holds);
  EXPECT_GT(report.frames.dropped(), 0);
  bench.set_cameras(0);
}

}  // namespace
}  // namespace gantry::app
