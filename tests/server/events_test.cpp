// The ring of events and its readers, without sockets.
#include "server/events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::server {
namespace {

using testing::HasSubstr;

std::string next(Stream& stream) {
  std::string out;
  return stream.poll(out) == Stream::Poll::kData ? out : std::string{};
}

struct EventLogTest : testing::Test {
  std::shared_ptr<EventLog> log = std::make_shared<EventLog>(100, EventLog::Limits{4, 1 << 20});
  int woken = 0;
  std::shared_ptr<Stream> reader(EventFilter filter = {}, std::optional<std::uint64_t> after = {}) {
    auto stream = log->reader(std::move(filter), after, EventLog::Form::kWebSocket);
    stream->on_ready([this] { ++woken; });
    return stream;
  }
  void publish(const std::string& camera, std::vector<int> classes = {}) {
    log->publish("detections", camera, std::move(classes), R"("camera":")" + camera + "\"");
  }
};

TEST_F(EventLogTest, AReaderSleepsAndIsWokenOncePerSleep) {
  const auto stream = reader();
  EXPECT_EQ(next(*stream), "");
  EXPECT_EQ(next(*stream), "");
  publish("a");
  publish("b");
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(next(*stream), R"({"id":100,"type":"detections","camera":"a"})");
  EXPECT_EQ(next(*stream), R"({"id":101,"type":"detections","camera":"b"})");
  EXPECT_EQ(next(*stream), "");
  publish("c");
  EXPECT_EQ(woken, 2);
}

TEST_F(EventLogTest, ASlowReaderIsToldHowManyItMissed) {
  const auto stream = reader();
  for (int i = 0; i < 10; ++i) publish("a");
  EXPECT_EQ(next(*stream), R"({"type":"missed","count":6,"restarted":false})");
  EXPECT_THAT(next(*stream), HasSubstr(R"("id":106)"));
  EXPECT_EQ(log->missed(), 6U);
}

TEST_F(EventLogTest, MemoryIsBoundedByBytesToo) {
  constexpr std::size_t kMost = 1000;
  log = std::make_shared<EventLog>(0, EventLog::Limits{1000, kMost});
  const auto stream = reader();
  for (int i = 0; i < 10; ++i) {
    log->publish("state", "a", {}, "\"text\":\"" + std::string(600, 'x') + "\"");
    EXPECT_LE(log->bytes(), kMost);
    EXPECT_GT(log->bytes(), 600U);
  }
  EXPECT_THAT(next(*stream), HasSubstr(R"("count":9)"));
}

TEST_F(EventLogTest, FiltersByCameraAndClass) {
  EventFilter filter;
  filter.cameras = {"b"};
  filter.classes = {2};
  const auto stream = reader(filter);
  publish("a", {2});
  publish("b", {1});
  publish("b", {1, 2});
  EXPECT_THAT(next(*stream), HasSubstr(R"("id":102)"));
  EXPECT_EQ(next(*stream), "");
}

TEST_F(EventLogTest, ResumesAfterACursor) {
  publish("a");
  publish("b");
  EXPECT_THAT(next(*reader({}, 100)), HasSubstr(R"("id":101)"));
  EXPECT_EQ(next(*reader({}, 101)), "");
  EXPECT_EQ(next(*reader({}, 5000)), "");
  EXPECT_THAT(next(*reader({}, 3)), HasSubstr(R"("restarted":true)"));
}

}  // namespace
}  // namespace gantry::server
