// A crowd of WebSocket readers of one event log, some of which have stopped reading.
#include <poll.h>

#include <fstream>
#include <thread>

#include "server/events.hpp"
#include "server/fixture.hpp"
#include "support/sanitized.hpp"

namespace gantry::server {
namespace {

using namespace std::chrono_literals;

/// Reads messages as they come and keeps the numbers of the events; checks that none is missing.
class Reader {
 public:
  Reader(std::uint16_t port, const std::string& token) : client_(port) {
    const int small = 64 * 1024;  // so that what is not read soon fills up
    ::setsockopt(client_.descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_.send(
        "GET /events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer " +
        token + "\r\n\r\n");
    head_ = client_.read("\r\n\r\n");
  }
  [[nodiscard]] bool upgraded() const { return head_.starts_with("HTTP/1.1 101"); }
  [[nodiscard]] int descriptor() const { return client_.descriptor(); }
  [[nodiscard]] std::uint64_t last() const { return last_; }
  [[nodiscard]] std::uint64_t missed() const { return missed_; }
  [[nodiscard]] bool gaps() const { return gaps_; }

  void take() {
    char buffer[65536];
    const ssize_t got = ::recv(descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got <= 0) return;
    text_.append(buffer, static_cast<std::size_t>(got));
    // Text frames of the server: 0x81, length in 7 or 16 bits, payload.
    std::size_t at = 0;
    while (text_.size() - at >= 4) {
      const auto byte = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<unsigned char>(text_[at + i]));
      };
      const bool wide = byte(1) == 126;
      const std::size_t head = wide ? 4 : 2;
      const std::size_t length = wide ? byte(2) << 8U | byte(3) : byte(1);
      if (text_.size() - at < head + length) break;
      hear(std::string_view(text_).substr(at + head, length));
      at += head + length;
    }
    text_.erase(0, at);
  }

 private:
  void hear(std::string_view message) {
    constexpr std::string_view kMissed = R"({"type":"missed","count":)";
    constexpr std::string_view kEvent = R"({"id":)";
    if (message.starts_with(kMissed)) {
      missed_ += std::stoull(std::string(message.substr(kMissed.size())));
      last_ = 0;
    } else if (message.starts_with(kEvent)) {
      const auto id = std::stoull(std::string(message.substr(kEvent.size(), 20)));
      gaps_ = gaps_ || (last_ != 0 && id != last_ + 1);
      last_ = id;
    }
  }

  RawClient client_;
  std::string head_, text_;
  std::uint64_t last_ = 0, missed_ = 0;
  bool gaps_ = false;
};

std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::ifstream{"/proc/self/statm"} >> pages >> pages;
  return pages * 4096;
}

TEST_F(HttpServerTest, StalledReadersCostLiveOnesNothingAndMemoryIsBounded) {
  constexpr std::size_t kReaders = 200, kStalled = 20;
  constexpr std::uint64_t kEvents = 1000, kRing = 256, kAhead = 64;
  const auto log = std::make_shared<EventLog>(1, EventLog::Limits{.events = kRing, .bytes = 16U << 20U});
  router_.add({.method = "GET",
               .pattern = "/events",
               .role = Role::kViewer,
               .handler =
                   [log](Request&, const Responder& respond) {
                     Response response;
                     response.websocket = true;
                     response.stream = log->reader({}, std::nullopt, EventLog::Form::kWebSocket);
                     respond(std::move(response));
                   },
               .websocket = true});
  HttpServerOptions options;
  options.write_timeout = 10min;  // nobody is cut off, however slow the machine
  start(std::move(options));
  std::vector<std::unique_ptr<Reader>> readers;
  for (std::size_t i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<Reader>(server_->port(), viewer_));
    ASSERT_TRUE(readers.back()->upgraded()) << i;
  }
  const auto before = resident_bytes();
  const std::string payload = "\"x\":\"" + std::string(3000, 'x') + "\"";
  std::vector<pollfd> waiting;
  for (std::size_t i = kStalled; i < kReaders; ++i) waiting.push_back({readers[i]->descriptor(), POLLIN, 0});
  std::uint64_t sent = 0, slowest = 0;
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (slowest < kEvents && std::chrono::steady_clock::now() < end) {
    // As far ahead of the slowest live reader as a reader may be behind, and no further.
    for (; sent < kEvents && sent < slowest + kAhead; ++sent) log->publish("state", "gate", {}, payload);
    ::poll(waiting.data(), waiting.size(), 100);
    slowest = kEvents;
    for (std::size_t i = kStalled; i < kReaders; ++i) {
      readers[i]->take();
      slowest = std::min(slowest, readers[i]->last());
    }
  }
  EXPECT_EQ(slowest, kEvents) << "a live reader waits for stalled ones";
  for (std::size_t i = kStalled; i < kReaders; ++i) {
    EXPECT_EQ(readers[i]->missed(), 0U) << i;
    EXPECT_FALSE(readers[i]->gaps()) << i;
  }
  const auto grown = resident_bytes() - std::min(before, resident_bytes());
  if (!test::kSanitized) {
    EXPECT_LT(grown, 24U << 20U) << "unread events are kept";
  }
  // Who comes back hears how many it has missed, and goes on without a gap.
  for (std::size_t i = 0; i < kStalled; ++i) {
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (readers[i]->last() != kEvents && std::chrono::steady_clock::now() < patience) {
      pollfd one{readers[i]->descriptor(), POLLIN, 0};
      ::poll(&one, 1, 100);
      readers[i]->take();
    }
    EXPECT_EQ(readers[i]->last(), kEvents) << i;
    EXPECT_GT(readers[i]->missed(), 0U) << i;
    EXPECT_FALSE(readers[i]->gaps()) << i;
  }
}

}  // namespace
}  // namespace gantry::server
