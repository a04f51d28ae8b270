#include <vector>

#include "server/fixture.hpp"

namespace gantry::server {
namespace {

using std::chrono::milliseconds;

TEST_F(HttpServerTest, OversizedHeadersAndBodiesAreRefused) {
  route("PUT", "/small", Role::kNone, text("ok"), 1000);
  start();
  EXPECT_EQ(status_of(ask("PUT", "/small", "X-Long: " + std::string(40'000, 'a') + "\r\n")), 431);
  EXPECT_EQ(status_of(ask("PUT", "/small", "", std::string(1001, 'b'))), 413);
  RawClient chunked(server_->port());
  std::string flood = "PUT /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) flood += "64\r\n" + std::string(100, 'c') + "\r\n";
  chunked.send(flood);
  EXPECT_EQ(status_of(chunked.response()), 413);
  EXPECT_EQ(status_of(ask("PUT", "/small", "", "fits")), 200);
}

TEST_F(HttpServerTest, AClientThatIsStillSendingGetsTheAnswerThatRefusesIt) {
  route("PUT", "/small", Role::kNone, text("ok"), 1000);
  start();
  // More than the sockets of both sides buffer, so that the answer comes long before the last byte is sent.
  constexpr std::size_t kBytes = 32 << 20;
  RawClient declared(server_->port());
  EXPECT_TRUE(declared.send("PUT /small HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n" +
                            std::string(kBytes, 'b')));
  EXPECT_EQ(status_of(declared.response()), 413);
  EXPECT_TRUE(declared.closes());
  RawClient chunked(server_->port());
  std::string flood = "PUT /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t i = 0; i < kBytes >> 16; ++i) flood += "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
  EXPECT_TRUE(chunked.send(flood));
  EXPECT_EQ(status_of(chunked.response()), 413);
  EXPECT_TRUE(chunked.closes());
}

TEST_F(HttpServerTest, SlowRequestsAreCutOff) {
  HttpServerOptions options;
  options.header_timeout = milliseconds{300};
  options.body_timeout = milliseconds{300};
  route("PUT", "/slow", Role::kNone, text("ok"));
  start(std::move(options));
  RawClient header(server_->port());
  header.send("PUT /slow HTTP/1.1\r\nHo");
  EXPECT_EQ(status_of(header.response()), 408);
  EXPECT_TRUE(header.closes());
  RawClient body(server_->port());
  body.send("PUT /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf");
  EXPECT_EQ(status_of(body.response()), 408);
  RawClient silent(server_->port());
  EXPECT_TRUE(silent.closes());
}

TEST_F(HttpServerTest, SmugglingAndMalformedRequestsAreRefused) {
  route("PUT", "/x", Role::kNone, text("ok"));
  route("GET", "/x", Role::kNone, text("ok"));
  start();
  const std::vector<std::string> bad = {
      "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
      "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET /x HTTP/1.1\r\n\r\n",
      "GET /x HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
      "GET /x HTTP/9.9\r\nHost: h\r\n\r\n",
      "\x16\x03\x01 not http at all\r\n\r\n",
      "GET x HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /%2e%2e/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /x%00 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /x%zz HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a%2fb HTTP/1.1\r\nHost: h\r\n\r\n",
  };
  for (const std::string& request : bad) {
    RawClient client(server_->port());
    client.send(request);
    EXPECT_EQ(status_of(client.response()), 400) << request;
  }
  EXPECT_EQ(status_of(ask("GET", "/x")), 200);
}

TEST_F(HttpServerTest, UnknownPathsAndMethods) {
  route("GET", "/x", Role::kNone, text("ok"));
  route("PUT", "/x", Role::kNone, text("ok"));
  start();
  EXPECT_EQ(status_of(ask("GET", "/nothing")), 404);
  const std::string wrong = ask("DELETE", "/x");
  EXPECT_EQ(status_of(wrong), 405);
  EXPECT_NE(wrong.find("Allow: GET, PUT"), std::string::npos);
  EXPECT_EQ(status_of(ask("BREW", "/x")), 405);
}

TEST_F(HttpServerTest, RequestsOfOneClientAreRated) {
  HttpServerOptions options;
  options.requests_per_second_per_peer = 5;
  route("GET", "/x", Role::kNone, text("ok"));
  start(std::move(options));
  int refused = 0;
  for (int i = 0; i < 40; ++i) refused += status_of(ask("GET", "/x")) == 429;
  EXPECT_GE(refused, 10);
  EXPECT_LE(refused, 30);
}

TEST_F(HttpServerTest, GuessingTokensIsSlowedDown) {
  HttpServerOptions options;
  options.failures_per_minute_per_peer = 5;
  route("GET", "/x", Role::kViewer, text("ok"));
  start(std::move(options));
  const std::string guess = bearer("gantry_00000000_" + std::string(64, '0'));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(status_of(ask("GET", "/x", guess)), 401);
  EXPECT_EQ(status_of(ask("GET", "/x", guess)), 429);
}

TEST_F(HttpServerTest, ACrowdOfIdleConnectionsLocksNobodyOut) {
  HttpServerOptions options;
  options.max_connections = 50;
  route("GET", "/x", Role::kNone, text("ok"));
  start(std::move(options));
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 200; ++i) crowd.push_back(std::make_unique<RawClient>(server_->port()));
  std::string busy = crowd.back()->response();
  EXPECT_EQ(status_of(busy), 503) << busy;
  std::this_thread::sleep_for(milliseconds{1200});  // idle for longer than a second: now they may be pushed out
  EXPECT_EQ(status_of(ask("GET", "/x")), 200);
  EXPECT_LE(server_->stats().connections, 50);
  EXPECT_GE(server_->stats().refused_connections, 100);
}

TEST_F(HttpServerTest, ACrowdOfOneAddressLocksNotEvenThatOut) {
  HttpServerOptions options;
  options.max_connections_per_peer = 50;
  route("GET", "/x", Role::kNone, text("ok"));
  start(std::move(options));
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 60; ++i) crowd.push_back(std::make_unique<RawClient>(server_->port()));
  EXPECT_EQ(status_of(crowd.back()->response()), 503);
  std::this_thread::sleep_for(milliseconds{1200});
  EXPECT_EQ(status_of(ask("GET", "/x")), 200);
}

}  // namespace
}  // namespace gantry::server
