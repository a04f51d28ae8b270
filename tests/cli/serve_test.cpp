// gantry serve on real video: books, lateness, reload, signals. Short here; GANTRY_SOAK_SECONDS makes it long
// (tools/soak), and then memory is watched too.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "cli/program.hpp"
#include "media/rtsp_server.hpp"
#include "support/test_data.hpp"

namespace gantry::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

const char* const kModel = "weights/yolo11n_int8_openvino";

seconds soak_time(int otherwise) {
  const char* named = std::getenv("GANTRY_SOAK_SECONDS");
  return seconds{named != nullptr ? std::stol(named) : otherwise};
}

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);)
    if (!stream.eof()) lines.push_back(json::parse(line));
  return lines;
}

std::uint64_t dropped(const json& frames) {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : frames.at("dropped").items()) sum += count.get<std::uint64_t>();
  return sum;
}

void expect_balanced(const json& frames, const std::string& who) {
  const auto received = frames.at("received").get<std::uint64_t>();
  const auto published = frames.at("published").get<std::uint64_t>();
  const auto in_flight = frames.at("in_flight").get<std::uint64_t>();
  EXPECT_EQ(received, published + dropped(frames) + in_flight) << who;
  EXPECT_LT(in_flight, 5000U) << who << ": in flight went below zero";
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

class Serve : public testing::Test {
 protected:
  std::string config(const std::string& cameras, const std::string& defaults = "{loop: true}",
                     bool watch = false) const {
    return folder.write(
        "gantry.yaml",
        "model: {path: " + test_data(kModel).string() + "}\nresults: {jsonl: " + folder.file("results.jsonl") +
            "}\nlog: {status_interval_s: 1}\nserver: {enabled: false}\nreload: {watch: " + (watch ? "true" : "false") +
            "}\ndefaults: " + defaults + "\ncameras:\n" + cameras);
  }
  static std::string line(const std::string& id, const std::string& source, const std::string& more = "") {
    return "  " + id + ": {source: '" + source + "'" + (more.empty() ? "" : ", " + more) + "}\n";
  }
  static std::string video(const std::string& name) { return test_data("video/" + name + ".mp4"); }
  std::vector<json> results() const { return json_lines(read_text(folder.file("results.jsonl"))); }

  /// Books of all status lines; the last one has nothing in flight and as many results as were written.
  void expect_books(const Program& program) const {
    const auto status = json_lines(program.out());
    ASSERT_GE(status.size(), 2U);
    for (const auto& reading : status) {
      expect_balanced(reading.at("total"), "total");
      for (const auto& camera : reading.at("cameras")) expect_balanced(camera.at("frames"), camera.at("id"));
    }
    EXPECT_EQ(status.back().at("total").at("in_flight"), 0);
    EXPECT_EQ(status.back().at("total").at("published"), results().size());
  }
  static std::uint64_t published(const Program& program, const std::string& id) {
    const auto status = json_lines(program.out());
    if (status.empty()) return 0;
    for (const auto& camera : status.back().at("cameras"))
      if (camera.at("id") == id) return camera.at("frames").at("published");
    return 0;
  }
  static std::string state(const Program& program, const std::string& id) {
    const auto status = json_lines(program.out());
    if (status.empty()) return "";
    for (const auto& camera : status.back().at("cameras"))
      if (camera.at("id") == id) return camera.at("state");
    return "gone";
  }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  }
  /// Each line of a camera goes on where the one before it ended.
  static void expect_each_change_logged_once(const std::string& log, const std::string& id) {
    const std::string start = "camera " + id + ": ";
    std::string state = "connecting";
    for (auto at = log.find(start); at != std::string::npos; at = log.find(start, at + 1)) {
      const auto from = at + start.size();
      const auto arrow = log.find(" -> ", from);
      if (arrow > log.find('\n', from)) continue;  // about its picture
      const auto to = arrow + 4;
      EXPECT_EQ(log.substr(from, arrow - from), state) << id;
      state = log.substr(to, log.find_first_of(":\n", to) - to);
    }
    EXPECT_EQ(state, "removed") << id;
  }
  TemporaryFolder folder;
};

/// Eight cameras of mixed sizes, half of them over RTSP, together more than two cores can carry.
TEST_F(Serve, EightCamerasUnderOverloadKeepTheirBooksAndTheirDelay) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/motorway_720p30.mp4");
  media::testing::RtspServer small{{"--width", "640", "--height", "360", "--fps", "25"}};
  GANTRY_NEEDS_SERVER(small);
  media::testing::RtspServer large{{"--width", "1280", "--height", "720", "--fps", "15"}};
  constexpr double kDeadlineMs = 500;
  const auto path =
      config(line("motorway1", video("motorway_720p30")) + line("motorway2", video("motorway_720p30")) +
                 line("suburban", video("suburban_352p24"), "priority: urgent") +
                 line("carpark", video("carpark_432p12"), "priority: background") + line("rtsp1", small.url("/plain")) +
                 line("rtsp2", small.url("/plain"), "transport: udp") + line("rtsp3", large.url("/plain")) +
                 line("rtsp4", large.url("/plain"), "fps: 5"),
             "{loop: true, deadline_ms: 500}");
  const auto length = soak_time(15);
  Program program{{"serve", "-c", path, "--json", "--for", std::to_string(length.count()) + "s"}};
  std::vector<std::pair<double, double>> memory;  // minutes, MiB
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < began + length - seconds{2}) {
    std::this_thread::sleep_for(seconds{1});
    const std::chrono::duration<double, std::ratio<60>> at = std::chrono::steady_clock::now() - began;
    if (at.count() >= 1) memory.emplace_back(at.count(), static_cast<double>(program.resident_kib()) / 1024);
  }
  ASSERT_EQ(program.wait(length + seconds{60}), 0) << program.err();
  expect_books(program);

  const auto warm = seconds{5};  // shapes are made ready, latencies learned
  std::map<std::string, int> seen;
  std::vector<double> ages;
  for (const auto& result : results()) {
    const double age = result.at("latency_ms").at("total");
    EXPECT_EQ(result.contains("late"), age > kDeadlineMs) << result.at("camera") << " " << result.at("seq");
    if (++seen[result.at("camera")] > warm.count() * 5) ages.push_back(age);
  }
  EXPECT_EQ(seen.size(), 8U) << "every camera is served";
  ASSERT_GT(ages.size(), 20U);
  EXPECT_LT(quantile(ages, 0.99), 2 * kDeadlineMs);
  const auto last = json_lines(program.out()).back();
  EXPECT_GT(dropped(last.at("total")), 0U) << "this was meant to be more than the machine can do";
  RecordProperty("published", static_cast<int>(results().size()));
  RecordProperty("p99_ms", std::to_string(quantile(ages, 0.99)));

  if (memory.size() < 60) return;
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (const auto& [minute, mib] : memory) {
    n += 1, sx += minute, sy += mib, sxx += minute * minute, sxy += minute * mib;
  }
  const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
  std::printf("memory: %.1f MiB, slope %.3f MiB a minute after the first\n", memory.back().second, slope);
  EXPECT_LT(slope, 1.0) << "MiB a minute";
}

TEST_F(Serve, BrokenCamerasAreTheirOwnProblem) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/carpark_432p12.mp4");
  media::testing::RtspServer stalls, dies, resizes;
  GANTRY_NEEDS_SERVER(stalls);
  const std::string good = "fps: 2, deadline_ms: 5000";
  const std::string bad = "fps: 1, deadline_ms: 5000, read_timeout_ms: 2000, backoff_min_ms: 500, backoff_max_ms: 1000";
  const auto path =
      config(line("good1", video("carpark_432p12"), good) + line("good2", video("carpark_432p12"), good) +
             line("good3", video("suburban_352p24"), good) + line("refused", "rtsp://127.0.0.1:1/plain", bad) +
             line("stalls", stalls.url("/plain"), bad) + line("dies", dies.url("/plain"), bad) +
             line("garbage", resizes.url("/broken"), bad) + line("resizes", resizes.url("/resize"), bad));
  Program program{{"serve", "-c", path, "--json"}};
  ASSERT_TRUE(program.wait_for([&] {
    return published(program, "good1") > 8 && published(program, "stalls") > 0 && published(program, "dies") > 0 &&
           published(program, "resizes") > 0;
  })) << program.err();
  stalls.signal(SIGSTOP);
  dies.kill();
  EXPECT_TRUE(program.wait_for([&] { return state(program, "dies") == "backing_off"; })) << program.err();
  EXPECT_TRUE(program.wait_for([&] { return count(program.err(), "camera stalls: stalled -> backing_off") > 0; }));
  std::this_thread::sleep_for(soak_time(3));
  const auto expect_return = [&](const std::string& id, const std::function<void()>& recover) {
    const std::string lives = "camera " + id + ": connecting -> live";
    const std::string attempts = "camera " + id + ": backing_off -> connecting";
    const auto lived = count(program.err(), lives);
    recover();
    const auto attempted = count(program.err(), attempts);
    EXPECT_TRUE(program.wait_for([&] { return count(program.err(), lives) > lived; }))
        << id << " did not come back by itself: " << program.err();
    // Each attempt follows the one before it by one back-off period at most; how long it takes is the machine's affair.
    EXPECT_LE(count(program.err(), attempts), attempted + 2) << id;
  };
  expect_return("stalls", [&] { stalls.signal(SIGCONT); });
  expect_return("dies", [&] { dies.start(); });
  program.signal(SIGTERM);
  ASSERT_EQ(program.wait(), 0) << program.err();
  expect_books(program);
  const auto last = json_lines(program.out()).back();
  for (const auto& camera : last.at("cameras")) {
    const std::string id = camera.at("id");
    if (!id.starts_with("good")) continue;
    auto drops = camera.at("frames").at("dropped");
    drops.erase("rate_limited");  // as it was asked for
    EXPECT_EQ(drops.size(), 0U) << id << " lost frames: " << drops;
    EXPECT_EQ(camera.at("connections"), 1) << id;
  }
  const auto log = program.err();
  for (const auto& camera : last.at("cameras")) expect_each_change_logged_once(log, camera.at("id"));
  std::map<std::string, std::set<int>> widths;
  for (const auto& result : results()) widths[result.at("camera")].insert(result.at("width").get<int>());
  EXPECT_EQ(widths["resizes"], (std::set<int>{320, 640}));
  EXPECT_EQ(count(log, "camera resizes: connecting -> live"), 1U) << "a new resolution needs no new connection";
  EXPECT_FALSE(widths["garbage"].empty()) << "what can be decoded of a damaged stream is answered";
  EXPECT_TRUE(widths["refused"].empty());
  EXPECT_EQ(count(log, "camera dies: connecting -> live"), 2U) << log;
  EXPECT_EQ(count(log, "camera dies: live -> backing_off"), 1U) << log;
  EXPECT_GE(count(log, "camera refused: connecting -> backing_off"), 2U);
  EXPECT_EQ(count(log, "camera refused: connecting -> live"), 0U);
  EXPECT_EQ(count(log, "camera good1: connecting -> live"), 1U);
}

TEST_F(Serve, HangUpReadsTheFileAgainAndChangesOnlyWhatChanged) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/carpark_432p12.mp4");
  const auto a = line("a", video("carpark_432p12"));
  const auto b = line("b", video("carpark_432p12"));
  const auto path = config(a + b);
  Program program{{"serve", "-c", path, "--json"}};
  ASSERT_TRUE(program.wait_for([&] { return published(program, "a") > 0 && published(program, "b") > 0; }));

  (void)config(a + line("b", video("carpark_432p12"), "conf: 7"));
  program.signal(SIGHUP);
  EXPECT_TRUE(program.wait_for([&] { return count(program.err(), "reload refused") == 1; }));
  EXPECT_NE(program.err().find(path + ":9: cameras.b.conf: '7' is out of range; use 0…1"), std::string::npos)
      << program.err();

  (void)config(a + line("c", video("suburban_352p24")));
  program.signal(SIGHUP);
  EXPECT_TRUE(program.wait_for([&] { return published(program, "c") > 0 && state(program, "b") == "gone"; }));
  (void)config(line("a", video("carpark_432p12"), "conf: 0.4") + line("c", video("suburban_352p24")));
  program.signal(SIGHUP);
  EXPECT_TRUE(program.wait_for([&] { return count(program.err(), "reload: adjusted a\n") == 1; }));
  program.signal(SIGINT);
  ASSERT_EQ(program.wait(), 0);
  expect_books(program);
  const auto log = program.err();
  EXPECT_EQ(count(log, "camera a: connecting -> live"), 1U) << "a was never touched: " << log;
  EXPECT_EQ(count(log, "reload: added c\n"), 1U);
  EXPECT_EQ(count(log, "reload: removed b\n"), 1U);
  EXPECT_EQ(count(log, "camera b: live -> removed"), 1U);
}

TEST_F(Serve, ASavedFileIsTakenOverByItself) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/carpark_432p12.mp4");
  const auto save = [&](const std::string& cameras) { return config(cameras, "{loop: true}", true); };
  const auto a = line("a", video("carpark_432p12"));
  Program program{{"serve", "-c", save(a), "--json"}};
  ASSERT_TRUE(program.wait_for([&] { return published(program, "a") > 0; }));

  (void)save(a + line("b", video("carpark_432p12"), "conf: 7"));
  EXPECT_TRUE(program.wait_for([&] { return count(program.err(), "cameras.b.conf: '7' is out of range") == 1; }));
  (void)folder.write("gantry.yaml", "");
  EXPECT_TRUE(program.wait_for([&] { return count(program.err(), "is empty, like a file") == 1; })) << program.err();
  (void)save(a + line("b", video("carpark_432p12")));
  EXPECT_TRUE(program.wait_for([&] { return published(program, "b") > 0; })) << program.err();
  program.signal(SIGTERM);
  ASSERT_EQ(program.wait(), 0);
  expect_books(program);
  const auto log = program.err();
  EXPECT_EQ(count(log, "camera a: connecting -> live"), 1U) << "a was never touched: " << log;
  EXPECT_EQ(count(log, "reload: added b\n"), 1U);
  EXPECT_EQ(count(log, "reload refused"), 2U);
}

TEST_F(Serve, AWrongPasswordIsNamedAndNeverShown) {
  GANTRY_NEEDS_DATA(kModel);
  media::testing::RtspServer server{{"--user", "viewer", "--password", "right"}};
  GANTRY_NEEDS_SERVER(server);
  const auto path = config(line("north", server.url("/plain", "viewer:${NORTH_PASSWORD}")));
  Program program{{"serve", "-c", path, "--json"}, {{"NORTH_PASSWORD", "wrong-secret"}}};
  EXPECT_TRUE(program.wait_for([&] { return state(program, "north") == "failed"; })) << program.err();
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
  EXPECT_NE(program.err().find("user name or password is wrong or missing"), std::string::npos) << program.err();
  EXPECT_EQ((program.err() + program.out()).find("wrong-secret"), std::string::npos);
}

}  // namespace
}  // namespace gantry::test
