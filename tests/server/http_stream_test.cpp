#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include "server/fixture.hpp"

namespace gantry::server {
namespace {

/// What the test pushes, in order; counts what came back.
class Feed final : public Stream {
 public:
  Poll poll(std::string& out) override {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return ended_ ? Poll::kEnd : Poll::kWait;
    out = std::move(queue_.front());
    queue_.pop_front();
    return Poll::kData;
  }
  void on_ready(std::function<void()> wake) override {
    const std::lock_guard lock(mutex_);
    wake_ = std::move(wake);
  }
  void on_message(std::string_view message) override { push("echo " + std::string(message)); }
  void push(std::string text) {
    std::function<void()> wake;
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(text));
      wake = wake_;
    }
    if (wake) wake();
  }
  void end() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    if (wake_) wake_();
  }

 private:
  std::mutex mutex_;
  std::deque<std::string> queue_;
  bool ended_ = false;
  std::function<void()> wake_;
};

Handler streams(const std::shared_ptr<Feed>& feed, bool websocket) {
  return [feed, websocket](Request&, const Responder& respond) {
    Response response;
    response.content_type = "text/event-stream";
    response.stream = feed;
    response.websocket = websocket;
    respond(std::move(response));
  };
}

TEST_F(HttpServerTest, ChunksComeAsTheyAreMadeAndEnd) {
  auto feed = std::make_shared<Feed>();
  route("GET", "/events", Role::kViewer, streams(feed, false));
  start();
  RawClient client(server_->port());
  client.send("GET /events HTTP/1.1\r\nHost: h\r\n" + bearer(viewer_) + "\r\n");
  client.read("\r\n\r\n");
  feed->push("data: one\n\n");
  EXPECT_NE(client.read("data: one").find("Transfer-Encoding: chunked"), std::string::npos);
  feed->push("data: two\n\n");
  EXPECT_NE(client.read("data: two").find("data: two"), std::string::npos);
  feed->end();
  EXPECT_TRUE(client.read("0\r\n\r\n").ends_with("0\r\n\r\n"));
  EXPECT_TRUE(client.closes());
}

TEST_F(HttpServerTest, AStreamEndsWithItsToken) {
  auto feed = std::make_shared<Feed>();
  route("GET", "/events", Role::kViewer, streams(feed, false));
  start();
  const std::string token = *tokens_.create("to be revoked", Role::kViewer, std::nullopt);
  RawClient client(server_->port());
  client.send("GET /events HTTP/1.1\r\nHost: h\r\n" + bearer(token) + "\r\n");
  client.read("\r\n\r\n");
  ASSERT_TRUE(tokens_.revoke(token.substr(7, 8)));
  EXPECT_TRUE(client.closes(std::chrono::seconds{10}));
}

TEST_F(HttpServerTest, WebSocketsTalkBothWays) {
  auto feed = std::make_shared<Feed>();
  router_.add({"GET", "/ws", Role::kViewer, 0, streams(feed, true), true});
  start();
  RawClient client(server_->port());
  client.send(
      "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      bearer(viewer_) + "\r\n");
  // The key and the answer are RFC 6455's own example.
  EXPECT_NE(client.read("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").find("101 Switching"), std::string::npos);
  feed->push("from the server");
  EXPECT_NE(client.read("from the server").find("from the server"), std::string::npos);
  const std::string text = "hi";
  std::string frame{'\x81', static_cast<char>(0x80 | text.size()), '\1', '\2', '\3', '\4'};
  for (std::size_t i = 0; i < text.size(); ++i) frame += static_cast<char>(text[i] ^ static_cast<char>(i % 4 + 1));
  client.send(frame);
  EXPECT_NE(client.read("echo hi").find("echo hi"), std::string::npos);
}

TEST_F(HttpServerTest, WebSocketsNeedCredentialsAndTheirOwnPath) {
  auto feed = std::make_shared<Feed>();
  router_.add({"GET", "/ws", Role::kViewer, 0, streams(feed, true), true});
  route("GET", "/plain", Role::kViewer, text("ok"));
  start();
  const std::string upgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
      "dGhlIHNhbXBsZSBub25jZQ==\r\n";
  EXPECT_EQ(status_of(ask("GET", "/ws", upgrade)), 401);
  EXPECT_EQ(status_of(ask("GET", "/plain", upgrade + bearer(viewer_))), 400);
  const auto session = tokens_.open_session(*tokens_.authenticate(viewer_).principal);
  const std::string cookie = "Cookie: gantry_session=" + session.cookie + "\r\n";
  EXPECT_EQ(status_of(ask("GET", "/ws", upgrade + cookie + "Origin: http://evil.example\r\n")), 403);
}

TEST_F(HttpServerTest, StoppingWithStreamsOpenAndWakersLeftIsSafe) {
  auto feed = std::make_shared<Feed>();
  route("GET", "/events", Role::kViewer, streams(feed, false));
  start();
  RawClient client(server_->port());
  client.send("GET /events HTTP/1.1\r\nHost: h\r\n" + bearer(viewer_) + "\r\n");
  client.read("\r\n\r\n");
  server_.reset();
  feed->push("after the end");  // the waker outlives the server
  EXPECT_TRUE(client.closes());
}

}  // namespace
}  // namespace gantry::server
