// What a source that a client gave may reach: by its URL, by what its name resolves to, and by where it is sent on.
#include "gantry/media/source_gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "gantry/media/source_factory.hpp"
#include "media/local_server.hpp"
#include "media/rtsp_server.hpp"
#include "support/ffmpeg.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::media {
namespace {

using ::testing::HasSubstr;
using testing::LocalServer;

std::vector<std::string> nowhere(const std::string&) {
  return {};
}

TEST(SourceGate, KnowsInternalAddressesInEverySpelling) {
  const SourceGate gate{{}};
  for (const char* url : {"http://127.0.0.1/",
                          "http://127.1/",
                          "http://2130706433/",
                          "http://0x7f000001/",
                          "http://017700000001/",
                          "http://[::1]/",
                          "http://[::ffff:127.0.0.1]/",
                          "http://[::]/",
                          "http://169.254.169.254/latest",
                          "http://0.0.0.0/",
                          "http://x@127.0.0.1/",
                          "rtsp://user:pass@localhost:554/",
                          "rtsp://[fe80::1]/",
                          "rtsp://239.1.2.3/",
                          "http://[64:ff9b::7f00:1]/",
                          "http://255.255.255.255/",
                          "file:///etc/passwd",
                          "/etc/passwd",
                          "concat:a|b",
                          "http://10.0.0.1\\@127.0.0.1/",
                          " http://192.0.2.1/",
                          "http:///x",
                          "http://"})
    EXPECT_FALSE(gate.pass(url)) << url;
  for (const char* url : {"http://192.0.2.1/", "rtsp://10.0.0.1:8554/live", "srt://192.0.2.1:9000", "scene://suburb"})
    EXPECT_TRUE(gate.pass(url)) << url;
}

TEST(SourceGate, HandsOutTheAddressThatItHasChecked) {
  std::atomic<int> asked{0};
  const SourceGate gate{{},
                        [&](const std::string& host) -> std::vector<std::string> {
                          EXPECT_EQ(host, "camera.example");
                          return ++asked == 1 ? std::vector<std::string>{"2001:db8::1", "192.0.2.7"}
                                              : std::vector<std::string>{"192.0.2.7", "127.0.0.1"};
                        },
                        {}};
  const auto first = gate.pass("rtsp://viewer:p@ss@camera.example:554/a?b=c");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->url, "rtsp://viewer:p@ss@192.0.2.7:554/a?b=c");
  EXPECT_EQ(first->host, "camera.example:554");
  // Rebinding: a moment later the name has an internal address as well.
  const auto second = gate.pass("rtsp://camera.example/a");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnauthorized);
}

TEST(SourceGate, TrustsWhatIsAllowedAndNothingBesideIt) {
  const SourceGate gate{{"rtsp://127.0.0.1", "/videos/"}, nowhere, {}};
  EXPECT_TRUE(gate.trusts("rtsp://127.0.0.1/live"));
  EXPECT_TRUE(gate.trusts("/videos/a.mp4"));
  for (const char* url : {"rtsp://127.0.0.1.example.org/", "rtsp://127.0.0.1:x@169.254.169.254/", "/videos/../etc",
                          "rtsp://127.0.0.1/../x", "/videosx"})
    EXPECT_FALSE(gate.trusts(url)) << url;
  EXPECT_EQ(gate.pass("rtsp://unknown.example/").error().code, ErrorCode::kNetwork);
}

/// Counts requests; answers each with `answer(path)`.
class Web {
 public:
  explicit Web(std::function<std::string(const std::string&)> answer)
      : server_([this, answer = std::move(answer)](int client) {
          std::string head;
          char byte = 0;
          while (head.find("\r\n\r\n") == std::string::npos && recv(client, &byte, 1, 0) == 1) head += byte;
          ++requests_;
          host_ = head.substr(std::min(head.find("Host: "), head.size()));
          const auto text = answer(head.substr(head.find(' ') + 1));
          testing::send_all(client, {text.begin(), text.end()});
        }) {}
  [[nodiscard]] int requests() const { return requests_; }
  [[nodiscard]] int port() const { return server_.port(); }
  [[nodiscard]] std::string host() const { return host_; }

 private:
  std::atomic<int> requests_{0};
  std::string host_;
  LocalServer server_;
};

std::string redirect(const std::string& to) {
  return "HTTP/1.1 302 Found\r\nLocation: " + to + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}
std::string body(const std::string& text, const char* type) {
  return std::string("HTTP/1.1 200 OK\r\nContent-Type: ") + type +
         "\r\nContent-Length: " + std::to_string(text.size()) + "\r\nConnection: close\r\n\r\n" + text;
}

/// 127.0.0.1 counts as the world, so that a server of the test can be reached; 127.0.0.2 and up are internal.
SourceConfig config_of(const std::string& url) {
  SourceConfig config;
  config.url = url;
  config.connect_timeout = config.read_timeout = std::chrono::seconds{10};
  config.gate = std::make_shared<const SourceGate>(
      std::vector<std::string>{},
      [](const std::string& host) { return std::vector<std::string>{host == "camera.example" ? "127.0.0.1" : host}; },
      std::vector<std::string>{"127.0.0.1"});
  return config;
}

TEST(GatedSource, HttpRedirectsAreNotFollowed) {
  Web inside{[](const std::string&) { return body("secret", "video/mp4"); }};
  Web outside{[&](const std::string&) { return redirect("http://127.0.0.1:" + std::to_string(inside.port()) + "/"); }};
  auto config = config_of("http://127.0.0.1:" + std::to_string(outside.port()) + "/live");
  const auto opened = make_source(config)->open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("redirects are not followed"));
  EXPECT_EQ(outside.requests(), 1);
  EXPECT_EQ(inside.requests(), 0) << "it went where it was sent";
  // The same source without a gate does follow: the test's redirect is a real one.
  config.gate = nullptr;
  EXPECT_FALSE(make_source(config)->open());
  EXPECT_GE(inside.requests(), 1);
}

TEST(GatedSource, WhatAPlaylistNamesPassesTheGateToo) {
  const std::string list =
      "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.2/latest/meta-data.ts\n#EXT-X-ENDLIST\n";
  Web outside{[&](const std::string&) { return body(list, "application/vnd.apple.mpegurl"); }};
  const auto config = config_of("http://127.0.0.1:" + std::to_string(outside.port()) + "/live.m3u8");
  const auto opened = make_source(config)->open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("clients may not reach"));
  for (const char* trick :
       {"file:///etc/passwd.ts", "/etc/passwd.ts", "concat:a|b.ts", "subfile,,start,0,end,9,,:/etc/passwd.ts",
        "crypto+file:///etc/passwd.ts", "data:text/plain,x", "tcp://127.0.0.1:1"}) {
    const std::string trap =
        std::string("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n") + trick + "\n#EXT-X-ENDLIST\n";
    Web web{[&](const std::string&) { return body(trap, "application/vnd.apple.mpegurl"); }};
    EXPECT_FALSE(make_source(config_of("http://127.0.0.1:" + std::to_string(web.port()) + "/x.m3u8"))->open()) << trick;
  }
}

TEST(GatedSource, ANameIsConnectedToAtTheAddressThatWasChecked) {
  // No name server knows camera.example: that the server is reached shows that FFmpeg was given the address.
  Web outside{[](const std::string&) { return body("not a video", "text/plain"); }};
  const auto port = std::to_string(outside.port());
  EXPECT_FALSE(make_source(config_of("http://camera.example:" + port + "/live"))->open());
  EXPECT_GE(outside.requests(), 1);
  EXPECT_THAT(outside.host(), HasSubstr("Host: camera.example:" + port));
}

TEST(GatedSource, AnRtspRedirectEndsTheConnection) {
  std::atomic<int> inside_heard{0};
  LocalServer inside{[&](int client) {
    char byte = 0;
    if (recv(client, &byte, 1, 0) == 1) ++inside_heard;
  }};
  LocalServer outside{[&](int client) {
    // OPTIONS is answered, DESCRIBE is sent on.
    std::string head;
    char byte = 0;
    for (int cseq = 1; cseq < 9; ++cseq, head.clear()) {
      while (head.find("\r\n\r\n") == std::string::npos && recv(client, &byte, 1, 0) == 1) head += byte;
      if (head.empty()) return;
      const bool options = head.starts_with("OPTIONS");
      const std::string reply =
          options ? "RTSP/1.0 200 OK\r\nCSeq: " + std::to_string(cseq) + "\r\nPublic: DESCRIBE\r\n\r\n"
                  : "RTSP/1.0 302 Found\r\nCSeq: " + std::to_string(cseq) +
                        "\r\nLocation: " + inside.url("rtsp", "/live") + "\r\n\r\n";
      testing::send_all(client, {reply.begin(), reply.end()});
    }
  }};
  auto config = config_of(outside.url("rtsp", "/live"));
  const auto opened = make_source(config)->open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("it redirects"));
  EXPECT_EQ(inside_heard, 0) << "something was said to where it was sent";
  config.gate = nullptr;
  EXPECT_FALSE(make_source(config)->open());
  EXPECT_GE(inside_heard, 1) << "the redirect is no real one";
}

TEST(GatedSource, APlaylistsOwnSegmentsComeByNameToo) {
  const test::TemporaryFolder folder;
  const auto clip = folder / "clip.ts";
  ASSERT_TRUE(
      test::ffmpeg("-f lavfi -i testsrc=size=160x120:rate=10:duration=2 -c:v libx264 -f mpegts " + clip.string()));
  const auto bytes = test::read_text(clip);
  Web web{[&](const std::string& path) {
    if (path.starts_with("/live/clip.ts")) return body(bytes, "video/mp2t");
    return body("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nclip.ts\n#EXT-X-ENDLIST\n",
                "application/vnd.apple.mpegurl");
  }};
  const auto port = std::to_string(web.port());
  const auto source = make_source(config_of("http://camera.example:" + port + "/live/index.m3u8"));
  const auto packet = source->next();
  ASSERT_TRUE(packet) << packet.error().message;
  EXPECT_GE(web.requests(), 2);
  EXPECT_THAT(web.host(), HasSubstr("Host: camera.example:" + port)) << "of the segment";
}

TEST(GatedSource, ARealCameraWorksByNameWithPassword) {
  testing::RtspServer server({"--user", "viewer", "--password", "p@ss"});
  GANTRY_NEEDS_SERVER(server);
  for (const Transport transport : {Transport::kTcp, Transport::kUdp}) {
    auto config = config_of("rtsp://viewer:p@ss@camera.example:" + std::to_string(server.port()) + "/plain");
    config.transport = transport;
    const auto source = make_source(config);
    for (int i = 0; i < 5; ++i) {
      const auto packet = source->next();
      ASSERT_TRUE(packet) << packet.error().message;
    }
  }
}

TEST(GatedSource, FilesAreRefusedWhenOpened) {
  for (const char* url : {"/etc/passwd", "file:///etc/passwd", "udp://127.0.0.1:9", "tcp://192.0.2.1:9"}) {
    const auto opened = make_source(config_of(url))->open();
    ASSERT_FALSE(opened) << url;
    EXPECT_EQ(opened.error().code, ErrorCode::kUnauthorized) << url;
  }
}

}  // namespace
}  // namespace gantry::media
