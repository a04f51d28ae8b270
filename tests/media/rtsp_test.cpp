// Real cameras: GStreamer's RTSP server on loopback, and the ways in which cameras fail.
#include <thread>

#include "media/camera_watch.hpp"
#include "media/local_server.hpp"
#include "media/rtsp_server.hpp"
#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// received = published + Σ dropped + in_flight, and nothing was in flight for long.
void expect_balanced(Watch& watch) {
  watch.camera().stop();
  const FrameCounts counts = watch.counts();
  EXPECT_EQ(counts.received, counts.published() + counts.dropped());
  EXPECT_EQ(counts.published(), watch.frames());
  EXPECT_EQ(watch.path().back().substr(watch.path().back().find('>')), ">removed");
}

TEST(Rtsp, TcpAndUdp) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  for (const Transport transport : {Transport::kTcp, Transport::kUdp}) {
    CameraOptions options = quick_camera(server.url("/plain"));
    options.source.transport = transport;
    Watch watch(std::move(options));
    ASSERT_TRUE(watch.wait_for_frames(40));
    EXPECT_EQ(watch.path(), std::vector<std::string>{"connecting>live"});
    EXPECT_EQ(watch.sizes(), (std::vector<std::pair<int, int>>{{320, 240}}));
    EXPECT_EQ(watch.disorder(), "");
    expect_balanced(watch);
  }
}

TEST(Rtsp, Hevc) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  Watch watch(quick_camera(server.url("/hevc")));
  ASSERT_TRUE(watch.wait_for_frames(20)) << watch.changes().back().reason;
  expect_balanced(watch);
}

TEST(Rtsp, CredentialsOpenTheDoor) {
  RtspServer server({"--user", "operator", "--password", "s3cret:pass"});
  GANTRY_NEEDS_SERVER(server);
  Watch watch(quick_camera(server.url("/plain", "operator:s3cret:pass")));
  EXPECT_TRUE(watch.wait_for_frames(10));
  expect_balanced(watch);
}

TEST(Rtsp, WrongPasswordSaysSoAndIsNeverShown) {
  RtspServer server({"--user", "operator", "--password", "s3cret:pass"});
  GANTRY_NEEDS_SERVER(server);
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  {
    Watch watch(quick_camera(server.url("/plain", "operator:hunter2")));
    ASSERT_TRUE(watch.wait_for(CameraState::kFailed));
    const StateChange change = watch.changes().front();
    EXPECT_EQ(change.reason, "rtsp://operator:***@127.0.0.1:" + std::to_string(server.port()) +
                                 "/plain: user name or password is wrong or missing");
    EXPECT_GE(change.retry_in, 200ms) << "a wrong password is tried at the longest back-off only";
    EXPECT_LE(change.retry_in, 400ms);
  }
  const std::string shown = ::testing::internal::GetCapturedStderr() + ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(shown.find("hunter2"), std::string::npos) << shown;
}

TEST(Rtsp, ServerStoppedInMidStreamStallsAndComesBackWithoutReconnecting) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  CameraOptions options = quick_camera(server.url("/plain"));
  options.source.read_timeout = 30s;
  Watch watch(std::move(options));
  ASSERT_TRUE(watch.wait_for_frames(10));
  server.signal(SIGSTOP);
  ASSERT_TRUE(watch.wait_for(CameraState::kStalled));
  server.signal(SIGCONT);
  ASSERT_TRUE(watch.wait_for(CameraState::kLive, 20s, 2));
  EXPECT_EQ(watch.path(), (std::vector<std::string>{"connecting>live", "live>stalled", "stalled>live"}));
  EXPECT_EQ(watch.camera().counters().connections, 1U);
  EXPECT_EQ(watch.disorder(), "");
  expect_balanced(watch);
}

TEST(Rtsp, StallLongerThanTheReadTimeoutReconnects) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  CameraOptions options = quick_camera(server.url("/plain"));
  options.source.connect_timeout = 1s;
  Watch watch(std::move(options));
  ASSERT_TRUE(watch.wait_for_frames(10));
  server.signal(SIGSTOP);
  ASSERT_TRUE(watch.wait_for(CameraState::kBackingOff));
  const std::vector<StateChange> changes = watch.changes();
  ASSERT_GE(changes.size(), 3U);
  EXPECT_EQ(changes[1].to, CameraState::kStalled);
  EXPECT_EQ(changes[2].to, CameraState::kBackingOff);
  EXPECT_EQ(changes[2].reason, server.url("/plain") + ": nothing came for 1.500 s (read_timeout)");
  const std::uint64_t before = watch.frames();
  server.signal(SIGCONT);
  ASSERT_TRUE(watch.wait_for_frames(before + 10));
  EXPECT_GE(watch.camera().counters().connections, 2U);
  EXPECT_EQ(watch.disorder(), "") << "the time axis goes on across connections";
  expect_balanced(watch);
}

TEST(Rtsp, KilledServerIsFoundAgainWithinTwoBackOffPeriods) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  CameraOptions options = quick_camera(server.url("/plain"));
  options.backoff = {200ms, 1000ms};
  Watch watch(std::move(options));
  ASSERT_TRUE(watch.wait_for_frames(10));
  server.kill();
  ASSERT_TRUE(watch.wait_for(CameraState::kBackingOff));
  std::this_thread::sleep_for(2500ms);  // several refused attempts: the back-off is at its longest
  const std::uint64_t before = watch.frames();
  const std::uint64_t attempts = watch.camera().counters().attempts;
  server.start();
  ASSERT_TRUE(watch.wait_for_frames(before + 1));
  // One attempt may fall into the server's start; the next one finds it.
  EXPECT_LE(watch.camera().counters().attempts, attempts + 2);
  bool refused = false;
  for (const StateChange& change : watch.changes())
    refused = refused || change.reason == server.url("/plain") + ": Connection refused";
  EXPECT_TRUE(refused);
  EXPECT_EQ(watch.disorder(), "");
  expect_balanced(watch);
}

/// FFmpeg's parser knows a picture to be whole when the next one begins, one period later.
TEST(Rtsp, PicturesComeWhenTheyAreWhole) {
  const TemporaryFolder folder;
  constexpr auto kPeriod = 100ms;
  RtspServer server{{"--fps", "10", "--drawn", folder.file("drawn")}};
  GANTRY_NEEDS_SERVER(server);
  FrameLedger ledger;
  std::mutex mutex;
  std::vector<std::pair<int, TimePoint>> seen;  // grey, captured at
  CameraStream camera(quick_camera(server.url("/grey")), ledger,
                      [&](Frame&& frame) {
                        const std::lock_guard lock(mutex);
                        seen.emplace_back(*frame.image.planes[0].data, frame.captured_at);
                        ledger.ended(Outcome::kPublished);
                      },
                      {});
  camera.start();
  const auto count = [&] {
    const std::lock_guard lock(mutex);
    return seen.size();
  };
  for (int i = 0; i < 400 && count() < 70; ++i) std::this_thread::sleep_for(50ms);
  camera.stop();
  ASSERT_GE(count(), 70U);

  std::vector<std::pair<int, TimePoint>> drawn;
  std::ifstream lines(folder / "drawn");
  for (std::int64_t grey = 0, at = 0; lines >> grey >> at;)
    drawn.emplace_back(static_cast<int>(grey), TimePoint{std::chrono::nanoseconds{at}});
  std::vector<Duration> delays;
  for (std::size_t i = seen.size() - 25; i < seen.size(); ++i) {
    const auto match = std::find_if(drawn.rbegin(), drawn.rend(), [&](const auto& picture) {
      return std::abs(picture.first - seen[i].first) <= 4 && picture.second < seen[i].second;
    });
    ASSERT_NE(match, drawn.rend()) << "a picture of grey " << seen[i].first << " was never drawn";
    delays.push_back(seen[i].second - match->second);
  }
  std::nth_element(delays.begin(), delays.begin() + 12, delays.end());
  RecordProperty("median_us", std::to_string(delays[12].count() / 1000));
  EXPECT_LT(delays[12], kPeriod / 2);
}

TEST(Rtsp, NoSuchStream) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  Watch watch(quick_camera(server.url("/nowhere")));
  ASSERT_TRUE(watch.wait_for(CameraState::kFailed));
  EXPECT_EQ(watch.changes().front().reason,
            server.url("/nowhere") + ": the server has no such stream; check the path in the URL");
}

TEST(Rtsp, ResolutionChangesInMidStream) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  Watch watch(quick_camera(server.url("/resize")));
  for (int i = 0; i < 400 && watch.sizes().size() < 3; ++i) std::this_thread::sleep_for(50ms);
  const std::vector<std::pair<int, int>> sizes = watch.sizes();
  ASSERT_GE(sizes.size(), 3U);
  EXPECT_EQ(sizes[0], (std::pair{320, 240}));
  EXPECT_EQ(sizes[1], (std::pair{640, 360}));
  EXPECT_EQ(sizes[2], (std::pair{320, 240}));
  EXPECT_EQ(watch.camera().counters().connections, 1U);
  EXPECT_EQ(watch.disorder(), "");
  expect_balanced(watch);
}

TEST(Rtsp, DamagedVideoIsCountedAndTheCameraStays) {
  RtspServer server;
  GANTRY_NEEDS_SERVER(server);
  Watch watch(quick_camera(server.url("/broken")));
  ASSERT_TRUE(watch.wait_for(CameraState::kLive));
  for (int i = 0; i < 400; ++i) {
    const FrameCounts counts = watch.counts();
    if (counts[Outcome::kDecodeError] + watch.camera().counters().concealed > 0) break;
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_GT(watch.counts()[Outcome::kDecodeError] + watch.camera().counters().concealed, 0U);
  expect_balanced(watch);
}

/// Answers with bytes that mean nothing.
void send_noise(int client) {
  std::vector<std::uint8_t> noise(200'000);
  std::uint32_t state = 12345;
  for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24);
  send_all(client, noise);
}

TEST(Rtsp, GarbageNeverGoesLive) {
  const LocalServer garbage(send_noise);
  for (const char* scheme : {"rtsp", "http", "tcp"}) {
    CameraOptions options = quick_camera(garbage.url(scheme, "/x"));
    options.source.connect_timeout = 2s;
    Watch watch(std::move(options));
    const auto ready = [&] { return watch.camera().counters().attempts >= 3; };
    for (int i = 0; i < 400 && !ready(); ++i) std::this_thread::sleep_for(50ms);
    EXPECT_TRUE(ready()) << scheme;
    watch.camera().stop();
    EXPECT_FALSE(watch.wait_for(CameraState::kLive, 0ms)) << scheme;
    EXPECT_EQ(watch.counts().published(), 0U);
  }
}

TEST(Rtsp, RefusedConnectionBacksOffFurtherEachTime) {
  // A port that was free a moment ago.
  const std::string url = LocalServer([](int) {}).url("rtsp", "/x");
  Watch watch(quick_camera(url));
  for (int i = 0; i < 400 && watch.camera().counters().attempts < 5; ++i) std::this_thread::sleep_for(50ms);
  watch.camera().stop();
  std::vector<Duration> waits;
  for (const StateChange& change : watch.changes())
    if (change.to == CameraState::kBackingOff) waits.push_back(change.retry_in);
  ASSERT_GE(waits.size(), 4U);
  constexpr std::chrono::milliseconds kPeriods[] = {100ms, 200ms, 400ms, 400ms};
  for (int i = 0; i < 4; ++i) {
    EXPECT_LE(waits[i], kPeriods[i]);
    EXPECT_GE(waits[i], kPeriods[i] / 2);
  }
}

/// Accepts and says nothing: only a hard time-out ends the wait.
TEST(Rtsp, SilentServerEndsWithTheConnectTimeout) {
  const LocalServer silent(wait_for_close);
  const std::string url = silent.url("rtsp", "/x");
  CameraOptions options = quick_camera(url);
  options.source.connect_timeout = 700ms;
  const auto begin = std::chrono::steady_clock::now();
  {
    Watch watch(std::move(options));
    ASSERT_TRUE(watch.wait_for(CameraState::kBackingOff));
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 700ms);
    EXPECT_EQ(watch.changes().front().reason,
              url + ": no video within 0.700 s (connect_timeout); is the camera reachable?");
    ASSERT_TRUE(watch.wait_for(CameraState::kConnecting, 20s, 1));
  }
  // Destroyed while it waited for the server again: cancelling must not wait for the time-out.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
}

}  // namespace
}  // namespace gantry::media
