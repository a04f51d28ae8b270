#include "gantry/core/trace.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "gantry/core/expects.hpp"

namespace gantry {
namespace {

using std::chrono::microseconds;

class TraceTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  nlohmann::json written(const Trace& trace) {
    counts_ = trace.write(path_);
    std::ifstream file{path_};
    return nlohmann::json::parse(file);
  }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("gantry-trace-" + std::to_string(::getpid()) + ".json");
  Trace::Written counts_;
};

TEST_F(TraceTest, IsActiveOnlyWhileItRuns) {
  EXPECT_EQ(Trace::active(), nullptr);
  {
    Trace trace{4};
    EXPECT_EQ(Trace::active(), nullptr);
    trace.start();
    EXPECT_EQ(Trace::active(), &trace);
    Trace other{4};
    EXPECT_THROW(other.start(), PreconditionError);
    other.stop();
    EXPECT_EQ(Trace::active(), &trace);
  }
  EXPECT_EQ(Trace::active(), nullptr);
}

TEST_F(TraceTest, WritesRowsAndSpansThatAViewerReads) {
  Trace trace{10};
  const TimePoint begin{std::chrono::seconds{1000}};
  trace.add({.name = "network",
             .track = TraceSpan::Track::kStream,
             .number = 18,
             .begin = begin + microseconds{250},
             .took = microseconds{1500},
             .frames = 32});
  trace.add({.name = "decode",
             .track = TraceSpan::Track::kCamera,
             .number = 7,
             .begin = begin,
             .took = microseconds{90},
             .seq = 5});
  trace.add({.name = "in the decoder",
             .track = TraceSpan::Track::kDecoder,
             .number = 7,
             .begin = begin,
             .took = microseconds{800}});
  const auto json = written(trace);
  EXPECT_EQ(counts_.spans, 3U);
  EXPECT_EQ(counts_.lost, 0U);
  int begun = 0, ended = 0;
  std::map<std::string, nlohmann::json> spans;
  std::set<std::string> rows;
  for (const auto& event : json.at("traceEvents")) {
    const std::string kind = event.at("ph");
    if (kind == "X") spans[event.at("name")] = event;
    if (kind == "M") rows.insert(event.at("args").at("name"));
    begun += kind == "b";
    ended += kind == "e";
  }
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(rows.contains("gpu 1 stream 2"));
  EXPECT_TRUE(rows.contains("camera 7"));
  EXPECT_DOUBLE_EQ(spans.at("network").at("ts"), 250);
  EXPECT_DOUBLE_EQ(spans.at("network").at("dur"), 1500);
  EXPECT_EQ(spans.at("network").at("args").at("frames"), 32);
  EXPECT_DOUBLE_EQ(spans.at("decode").at("ts"), 0);
  EXPECT_EQ(spans.at("decode").at("args").at("seq"), 5);
}

TEST_F(TraceTest, TakesFromManyThreadsAndCountsWhatDoesNotFit) {
  constexpr std::size_t kRoom = 1000;
  constexpr int kThreads = 4, kEach = 400;
  Trace trace{kRoom};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&trace, t] {
      for (int i = 0; i < kEach; ++i)
        trace.add({.name = "x", .number = static_cast<std::uint32_t>(t), .begin = TimePoint{microseconds{i}}});
    });
  for (auto& thread : threads) thread.join();
  const auto json = written(trace);
  EXPECT_EQ(counts_.spans, kRoom);
  EXPECT_EQ(counts_.lost, kThreads * kEach - kRoom);
  EXPECT_EQ(std::count_if(json.at("traceEvents").begin(), json.at("traceEvents").end(),
                          [](const auto& event) { return event.at("ph") == "X"; }),
            static_cast<long>(kRoom));
}

TEST_F(TraceTest, SaysWhichFileCannotBeWritten) {
  const Trace trace{1};
  try {
    (void)trace.write("/nowhere/trace.json");
    FAIL();
  } catch (const std::filesystem::filesystem_error& error) {
    EXPECT_EQ(error.path1(), "/nowhere/trace.json");
  }
}

}  // namespace
}  // namespace gantry
