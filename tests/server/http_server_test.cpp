#include "server/fixture.hpp"

#include <thread>

namespace gantry::server {
namespace {

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  route("GET", "/hello", Role::kNone, text("{\"hello\":1}"));
  start();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    const std::string response = client.response();
    EXPECT_EQ(status_of(response), 200);
    EXPECT_NE(response.find("{\"hello\":1}"), std::string::npos);
    EXPECT_NE(response.find("X-Content-Type-Options: nosniff"), std::string::npos);
  }
  EXPECT_EQ(server_->stats().requests, 3);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  route("GET", "/{n}", Role::kNone,
        [](Request& request, const Responder& respond) { respond(json(200, "n=" + request.params["n"])); });
  start();
  RawClient client(server_->port());
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(client.response().find("n=1"), std::string::npos);
  EXPECT_NE(client.response().find("n=2"), std::string::npos);
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  route("GET", "/hello", Role::kNone, text("body"));
  start();
  RawClient client(server_->port());
  client.send("HEAD /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string all = client.read("\x01", std::chrono::seconds{5});
  EXPECT_NE(all.find("Content-Length: 4"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\n"));
}

TEST_F(HttpServerTest, BodyReachesTheHandlerAlsoInChunks) {
  route("PUT", "/echo", Role::kNone,
        [](Request& request, const Responder& respond) { respond(json(200, request.body)); });
  start();
  EXPECT_NE(ask("PUT", "/echo", "", "twelve bytes").find("twelve bytes"), std::string::npos);
  RawClient client(server_->port());
  client.send(
      "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  EXPECT_NE(client.response().find("hello world"), std::string::npos);
}

TEST_F(HttpServerTest, HandlersMayAnswerLaterFromAnotherThread) {
  std::vector<std::jthread> threads;
  route("GET", "/slow", Role::kNone, [&](Request&, const Responder& respond) {
    threads.emplace_back([respond] {
      std::this_thread::sleep_for(std::chrono::milliseconds{30});
      respond(json(200, "later"));
    });
  });
  route("GET", "/fast", Role::kNone, text("fast"));
  start();
  RawClient slow(server_->port());
  slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(ask("GET", "/fast").find("fast"), std::string::npos);
  EXPECT_NE(slow.response().find("later"), std::string::npos);
  server_->stop();
}

TEST_F(HttpServerTest, AHandlerThatThrowsOrForgetsIsA500AndTheServerLives) {
  route("GET", "/throws", Role::kNone, [](Request&, const Responder&) { throw std::runtime_error("secret detail"); });
  route("GET", "/forgets", Role::kNone, [](Request&, const Responder&) {});
  route("GET", "/ok", Role::kNone, text("ok"));
  start();
  const std::string thrown = ask("GET", "/throws");
  EXPECT_EQ(status_of(thrown), 500);
  EXPECT_EQ(thrown.find("secret detail"), std::string::npos);
  EXPECT_EQ(status_of(ask("GET", "/forgets")), 500);
  EXPECT_EQ(status_of(ask("GET", "/ok")), 200);
}

TEST_F(HttpServerTest, CredentialsDecide) {
  route("GET", "/look", Role::kViewer, text("seen"));
  route("POST", "/change", Role::kOperator, text("changed"));
  start();
  EXPECT_EQ(status_of(ask("GET", "/look")), 401);
  EXPECT_NE(ask("GET", "/look").find("WWW-Authenticate: Bearer"), std::string::npos);
  EXPECT_EQ(status_of(ask("GET", "/look", bearer("gantry_00000000_" + std::string(64, '0')))), 401);
  EXPECT_EQ(status_of(ask("GET", "/look", bearer(viewer_))), 200);
  EXPECT_EQ(status_of(ask("POST", "/change", bearer(viewer_))), 403);
  EXPECT_EQ(status_of(ask("POST", "/change", bearer(operator_))), 200);
  const std::string short_lived = *tokens_.create("short", Role::kViewer, std::chrono::seconds{1});
  std::this_thread::sleep_for(std::chrono::milliseconds{1100});
  const std::string expired = ask("GET", "/look", bearer(short_lived));
  EXPECT_EQ(status_of(expired), 401);
  EXPECT_NE(expired.find("expired"), std::string::npos);
}

TEST_F(HttpServerTest, CookiesNeedOriginAndCsrfToChangeThings) {
  route("GET", "/look", Role::kViewer, text("seen"));
  route("POST", "/change", Role::kOperator, text("changed"));
  start();
  const auto session = tokens_.open_session(*tokens_.authenticate(operator_).principal);
  const std::string cookie = "Cookie: a=b; gantry_session=" + session.cookie + "\r\n";
  EXPECT_EQ(status_of(ask("GET", "/look", cookie)), 200);
  EXPECT_EQ(status_of(ask("POST", "/change", cookie)), 403);
  EXPECT_EQ(status_of(ask("POST", "/change", cookie + "Origin: http://localhost\r\n")), 403);
  EXPECT_EQ(status_of(ask("POST", "/change",
                          cookie + "X-CSRF-Token: " + session.csrf + "\r\nOrigin: http://evil.example\r\n")),
            403);
  EXPECT_EQ(
      status_of(ask("POST", "/change", cookie + "X-CSRF-Token: " + session.csrf + "\r\nOrigin: http://localhost\r\n")),
      200);
  tokens_.close_session(session.cookie);
  EXPECT_EQ(status_of(ask("GET", "/look", cookie)), 401);
}

TEST_F(HttpServerTest, PlainHttpStaysOnLoopback) {
  HttpServerOptions open;
  open.address = "0.0.0.0";
  open.port = 0;
  try {
    HttpServer refused(std::move(open), Router{}, tokens_);
    FAIL() << "a plain server listens beyond loopback";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("server.insecure: true"), std::string::npos) << error.what();
  }
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  start();
  HttpServerOptions same;
  same.port = server_->port();
  try {
    HttpServer refused(std::move(same), Router{}, tokens_);
    FAIL() << "two servers listen on one port";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(server_->port())), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gantry::server
