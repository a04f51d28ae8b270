#include "server/api_fixture.hpp"

#include <gmock/gmock.h>

#include "gantry/config/reference.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TEST_F(ApiTest, HealthFollowsTheState) {
  EXPECT_EQ(ask("GET", "/health/live", "").status, 200);
  EXPECT_EQ(ask("GET", "/health/startup", "").status, 503);
  EXPECT_EQ(ask("GET", "/health/ready", "").status, 503);
  run();
  EXPECT_EQ(ask("GET", "/health/startup", "").status, 200);
  EXPECT_EQ(ask("GET", "/health/ready", "").status, 200);
  EXPECT_EQ(ask("POST", "/api/v1/devices/cpu/drain", operator_).status, 200);
  EXPECT_THAT(ask("GET", "/health/ready", "").body, HasSubstr("no device takes work"));
  EXPECT_EQ(ask("POST", "/api/v1/devices/cpu/drain", operator_, R"({"draining":false})").status, 200);
  EXPECT_EQ(ask("GET", "/health/ready", "").status, 200);
  EXPECT_EQ(ask("POST", "/api/v1/devices/abacus/drain", operator_).status, 404);
  api_->set_phase(Phase::kStopping);
  EXPECT_EQ(ask("GET", "/health/ready", "").status, 503);
  EXPECT_EQ(ask("GET", "/health/live", "").status, 200);
}

TEST_F(ApiTest, EveryPathButHealthAndPageNeedsAToken) {
  for (const char* path : {"/metrics", "/api/v1/cameras", "/api/v1/cameras/gate", "/api/v1/cameras/gate/stats",
                           "/api/v1/cameras/gate/snapshot.jpg", "/api/v1/cameras/gate/live.mjpg", "/api/v1/system",
                           "/api/v1/events", "/api/v1/session"})
    EXPECT_EQ(ask("GET", path, "").status, 401) << path;
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/gate", viewer_).status, 403);
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", viewer_, R"({"source":"fakecam://x"})").status, 403);
  EXPECT_EQ(ask("POST", "/api/v1/cameras/gate/boost", viewer_).status, 403);
  EXPECT_TRUE(system_->config().cameras.contains("gate"));
}

TEST_F(ApiTest, ACameraShowsEveryKeyOfTheTableAndNoSecret) {
  const auto reply = get("/api/v1/cameras/gate");
  ASSERT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, Not(HasSubstr("hunter2")));
  const auto camera = reply.json();
  const std::string prefix = "cameras.<id>.";
  for (const auto& key : config::describe_keys()) {
    if (!key.path.starts_with(prefix)) continue;
    EXPECT_TRUE(camera.contains(key.path.substr(prefix.size()))) << key.path;
  }
  EXPECT_THAT(get("/api/v1/cameras").body, Not(HasSubstr("hunter2")));
  EXPECT_EQ(get("/api/v1/cameras/nobody").status, 404);
}

TEST_F(ApiTest, CamerasComeChangeAndGoAndSurviveARestart) {
  run();
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", operator_, R"({"source":"fakecam://new","fps":7})").status, 201);
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", operator_, R"({"source":"fakecam://new","fps":7})").status, 200);
  EXPECT_TRUE(published("new"));
  const auto patched = ask("PATCH", "/api/v1/cameras/gate", operator_, R"({"priority":"urgent"})");
  ASSERT_EQ(patched.status, 200) << patched.body;
  EXPECT_EQ(patched.json()["priority"], "urgent");
  EXPECT_EQ(system_->config().cameras.at("gate").source, "fakecam://viewer:hunter2@gate");
  EXPECT_THAT(log(), HasSubstr("audit: operator ("));
  EXPECT_THAT(log(), Not(HasSubstr("hunter2")));

  close();
  open();
  auto cameras = system_->config().cameras;
  ASSERT_TRUE(cameras.contains("new"));
  EXPECT_EQ(cameras.at("new").fps, 7);
  EXPECT_EQ(cameras.at("gate").priority, Priority::kUrgent);
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/new", operator_).status, 204);
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/new", operator_).status, 204);
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/gate", operator_).status, 204);
  close();
  open();
  EXPECT_TRUE(system_->config().cameras.empty());
}

TEST_F(ApiTest, WhatGetAnsweredCanBePutBack) {
  auto camera = get("/api/v1/cameras/gate").json();
  camera["fps"] = 3;
  const auto reply = ask("PUT", "/api/v1/cameras/gate", operator_, camera.dump());
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(system_->config().cameras.at("gate").source, "fakecam://viewer:hunter2@gate");
  EXPECT_EQ(system_->config().cameras.at("gate").fps, 3);
}

TEST_F(ApiTest, WrongBodiesAreRefusedAndNothingChanges) {
  const auto before = system_->config();
  const std::pair<const char*, int> bodies[] = {{"", 400},
                                                {"[]", 400},
                                                {"{", 400},
                                                {R"({"source":"fakecam://x","fps":-1})", 422},
                                                {R"({"source":"fakecam://x","fsp":1})", 422},
                                                {R"({"source":"fakecam://x","classes":["unicorn"]})", 422},
                                                {R"({"source":"fakecam://${HOME}"})", 422},
                                                {R"({"fps":1})", 422},
                                                {R"({"source":null})", 422},
                                                {R"({"a":{"b":{"c":{"d":{"e":{"f":1}}}}}})", 400}};
  for (const auto& [body, status] : bodies) {
    const auto reply = ask("PUT", "/api/v1/cameras/new", operator_, body);
    EXPECT_EQ(reply.status, status) << body << "\n" << reply.body;
  }
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", operator_, std::string(60'000, '[')).status, 400);
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", operator_, std::string(70'000, ' ')).status, 413);
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/-bad-", operator_, R"({"source":"fakecam://x"})").status, 422);
  EXPECT_EQ(ask("PATCH", "/api/v1/cameras/nobody", operator_, "{}").status, 404);
  EXPECT_EQ(ask("POST", "/api/v1/cameras/gate/boost", operator_, R"({"priority":"king"})").status, 422);
  EXPECT_EQ(ask("POST", "/api/v1/cameras/gate/boost", operator_, R"({"seconds":0})").status, 422);
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/-bad-", operator_).status, 422);
  EXPECT_EQ(ask("POST", "/api/v1/cameras/gate/boost", operator_, R"({"seconds":1e300})").status, 422);
  EXPECT_EQ(ask("POST", "/api/v1/cameras/nobody/boost", operator_).status, 404);
  EXPECT_EQ(system_->config(), before);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "cameras.json"));
}

TEST_F(ApiTest, ClientsCannotReachFilesNorTheServersOwnAddresses) {
  for (const char* source : {"/etc/passwd",
                             "file:///etc/passwd",
                             "concat:a|b",
                             "subfile,,start,0,end,9,,:/etc/passwd",
                             "http://127.0.0.1/",
                             "http://127.1/",
                             "http://2130706433/",
                             "http://0x7f000001/",
                             "http://[::1]/",
                             "http://[::ffff:127.0.0.1]/",
                             "http://169.254.169.254/latest",
                             "http://0.0.0.0/",
                             "http://x@127.0.0.1/",
                             "rtsp://[fe80::1]/",
                             "rtsp://239.1.2.3/",
                             "udp://10.0.0.1",
                             "tcp://10.0.0.1",
                             "gopher://10.0.0.1/",

                             "http://10.0.0.1\\@127.0.0.1/",
                             " http://10.0.0.1/",
                             "FILE:///etc/passwd"}) {
    const auto reply = ask("PUT", "/api/v1/cameras/new", operator_, Json{{"source", source}}.dump());
    EXPECT_EQ(reply.status, 422) << source;
    EXPECT_THAT(reply.body, HasSubstr("source: ")) << source;
  }
  EXPECT_FALSE(system_->config().cameras.contains("new"));
  EXPECT_EQ(ask("PUT", "/api/v1/cameras/new", operator_, R"({"source":"rtsp://192.0.2.10/s"})").status, 201);
}

TEST_F(ApiTest, BoostIsTaken) {
  run();
  const auto reply = ask("POST", "/api/v1/cameras/gate/boost", operator_, R"({"priority":"emergency","seconds":5})");
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST_F(ApiTest, MetricsAreLiveAndTheBooksBalance) {
  run();
  ASSERT_TRUE(published("gate"));
  const auto reply = get("/metrics");
  ASSERT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, HasSubstr("text/plain; version=0.0.4"));
  std::map<std::string, double> values;
  std::istringstream lines{reply.body};
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with('#')) values[line.substr(0, line.rfind(' '))] = std::stod(line.substr(line.rfind(' ')));
  EXPECT_GT(values["yolo11_inference_latency_seconds_count"], 0);
  EXPECT_GT(values["batch_efficiency_ratio"], 0);
  EXPECT_TRUE(values.contains("gpu_utilization_percent{device_id=\"cpu\"}"));
  EXPECT_TRUE(values.contains("yolo11_inference_latency_seconds_bucket{le=\"0.025\"}"));
  double ended = values["gantry_frames_in_flight{camera=\"gate\"}"];
  for (const auto& [name, value] : values)
    if (name.starts_with("gantry_frames_total{camera=\"gate\"")) ended += value;
  EXPECT_EQ(values["gantry_frames_received_total{camera=\"gate\"}"], ended);
  EXPECT_EQ(values["gantry_cameras"], 1);
}

TEST_F(ApiTest, MetricsTellOfTheDecodersOfACard) {
  EXPECT_THAT(get("/metrics").body, Not(HasSubstr("gantry_decoder_sessions")));
  close();
  open();
  system_->watch_decoders([] {
    app::DecoderReading reading;
    reading.nvdec.sessions = 3;
    reading.nvdec.cameras_shared = 9;
    reading.nvdec.choices[static_cast<std::size_t>(media::DecodeReason::kSaturated)] = 2;
    reading.nvdec.given_up = 5;
    reading.nvdec.map_call_seconds = 1.5;
    reading.budget = {.limit_bytes = 4096, .reserved_bytes = 1024};
    return std::vector{reading};
  });
  run();
  const std::string body = get("/metrics").body;
  for (const char* line :
       {"gantry_decoder_sessions{device=\"cpu\"} 3", "gantry_decoder_cameras{device=\"cpu\",seat=\"shared\"} 9",
        "gantry_decoder_choices_total{device=\"cpu\",reason=\"saturated\"} 2",
        "gantry_decoder_pictures_total{device=\"cpu\",what=\"given_up\"} 5",
        "gantry_decoder_call_seconds_total{device=\"cpu\",call=\"map\"} 1.5",
        "gantry_memory_budget_bytes{device=\"cpu\",what=\"reserved\"} 1024"})
    EXPECT_THAT(body, HasSubstr(line));
}

TEST_F(ApiTest, StatsAndSystemSayWhatRuns) {
  run();
  ASSERT_TRUE(published("gate"));
  const auto stats = get("/api/v1/cameras/gate/stats").json();
  EXPECT_EQ(stats["state"], "live");
  EXPECT_GT(stats["latency_ms"]["total"]["count"], 0);
  const auto system = get("/api/v1/system").json();
  EXPECT_EQ(system["phase"], "running");
  EXPECT_EQ(system["devices"][0]["id"], "cpu");
  EXPECT_GT(system["frames"]["published"], 0);
  EXPECT_EQ(system["model"]["classes"][1], "car");
}

TEST_F(ApiTest, SnapshotIsAJpegWithOrWithoutBoxes) {
  EXPECT_EQ(get("/api/v1/cameras/nobody/snapshot.jpg").status, 404);
  const auto none = get("/api/v1/cameras/gate/snapshot.jpg");
  EXPECT_EQ(none.status, 204) << "the camera is there, its picture not yet";
  EXPECT_EQ(none.body, "");
  run();
  ASSERT_TRUE(published("gate"));
  for (const char* query : {"", "?boxes=1"}) {
    const auto reply = get(std::string("/api/v1/cameras/gate/snapshot.jpg") + query);
    ASSERT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.body.starts_with("\xFF\xD8\xFF"));
    EXPECT_TRUE(reply.body.ends_with("\xFF\xD9"));
  }
}

TEST_F(ApiTest, LivePicturesFollowOneAnotherAndEndWithTheCamera) {
  run();
  RawClient client(server_->port());
  client.send("GET /api/v1/cameras/gate/live.mjpg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + viewer_ +
              "\r\n\r\n");
  EXPECT_TRUE(eventually([&] {
    const auto got = client.read("\x01never\x01", 50ms);
    std::size_t parts = 0;
    for (std::size_t at = 0; (at = got.find("--gantryframe", at)) != std::string::npos; ++at) ++parts;
    return parts >= 3;
  }));
  EXPECT_EQ(ask("DELETE", "/api/v1/cameras/gate", operator_).status, 204);
  EXPECT_TRUE(client.closes());
}

TEST_F(ApiTest, EventsComeAsServerSentEventsWithFilterAndCursor) {
  run();
  RawClient client(server_->port());
  client.send("GET /api/v1/events?camera=gate&class=car&type=detections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
              viewer_ + "\r\n\r\n");
  const auto got = client.read("\"class\":\"car\"");
  ASSERT_THAT(got, HasSubstr("event: detections"));
  EXPECT_THAT(got, HasSubstr("text/event-stream"));
  const auto id = std::stoull(got.substr(got.find("id: ") + 4));

  RawClient again(server_->port());
  again.send("GET /api/v1/events?camera=gate HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + std::to_string(id) +
             "\r\nAuthorization: Bearer " + viewer_ + "\r\n\r\n");
  EXPECT_THAT(again.read("\ndata:"), HasSubstr("id: " + std::to_string(id + 1)));

  RawClient old(server_->port());
  old.send("GET /api/v1/events?after=5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + viewer_ + "\r\n\r\n");
  EXPECT_THAT(old.read("\n\n"), HasSubstr(R"("restarted":true)"));

  EXPECT_EQ(get("/api/v1/events?class=unicorn").status, 400);
  EXPECT_EQ(get("/api/v1/events?after=x").status, 400);
}

TEST_F(ApiTest, EventsComeOverAWebSocket) {
  run();
  RawClient client(server_->port());
  client.send(
      "GET /api/v1/events?type=detections HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer " +
      viewer_ + "\r\n\r\n");
  EXPECT_THAT(client.read("\"type\":\"detections\""), HasSubstr("101 Switching"));
}

TEST_F(ApiTest, StateChangesAreEvents) {
  RawClient client(server_->port());
  client.send("GET /api/v1/events?type=state HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + viewer_ + "\r\n\r\n");
  client.read("\r\n\r\n");
  run();
  EXPECT_THAT(client.read("\"state\":\"live\""), HasSubstr("\"camera\":\"gate\""));
}

TEST_F(ApiTest, ThePageLogsInByCookieAndChangesNeedTheCsrfToken) {
  const auto in = ask("POST", "/api/v1/session", operator_);
  ASSERT_EQ(in.status, 200);
  EXPECT_THAT(in.head, HasSubstr("HttpOnly; SameSite=Strict"));
  const auto at = in.head.find("gantry_session=");
  const std::string cookie = "Cookie: " + in.head.substr(at, in.head.find(';', at) - at) + "\r\n";
  const std::string csrf = "X-CSRF-Token: " + in.json()["csrf"].get<std::string>() + "\r\n";
  EXPECT_EQ(ask("GET", "/api/v1/session", "", "", cookie).json()["role"], "operator");
  const std::string path = "/api/v1/cameras/gate";
  EXPECT_EQ(ask("PATCH", path, "", R"({"fps":2})", cookie).status, 403);
  EXPECT_EQ(ask("PATCH", path, "", R"({"fps":2})", cookie + csrf + "Origin: http://evil\r\n").status, 403);
  EXPECT_EQ(ask("PATCH", path, "", R"({"fps":2})", cookie + csrf + "Origin: http://localhost\r\n").status, 200);
  EXPECT_EQ(ask("DELETE", "/api/v1/session", "", "", cookie + csrf + "Origin: http://localhost\r\n").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/session", "", "", cookie).status, 401);
}

TEST_F(ApiTest, ThePageIsServedWithAStrictPolicy) {
  const auto page = ask("GET", "/", "");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.head, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"));
  EXPECT_THAT(page.head, HasSubstr("text/html"));
}

TEST_F(ApiTest, TheDescriptionNamesEveryRouteAndNoOther) {
  const auto description = ask("GET", "/api/v1/openapi.json", "").json();
  ASSERT_TRUE(description.is_object());
  std::set<std::string> described;
  for (const auto& [path, operations] : description["paths"].items())
    for (const auto& [method, operation] : operations.items())
      if (method != "parameters") described.insert(method + " " + path);
  Router router;
  api_->add_routes(router);
  std::set<std::string> served;
  for (const auto& route : router.routes()) {
    const bool api = route.pattern.starts_with("/api/") || route.pattern.starts_with("/health/") ||
                     route.pattern.starts_with("/v2") || route.pattern == "/metrics";
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (api) served.insert(method + " " + route.pattern);
  }
  EXPECT_EQ(described, served);
}

}  // namespace
}  // namespace gantry::server
