// /v2 over a real System with a fake back end, whose answers carry the first byte of the picture that they are for.
#include <gmock/gmock.h>

#include <cstring>

#include "server/api_fixture.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
constexpr const char* kInfer = "/v2/models/fake/infer";

class InferenceTest : public ApiTest {
 protected:
  Reply infer(const Json& head, const std::string& binary = "", const std::string& token = "") {
    const auto text = head.dump();
    return ask("POST", kInfer, token.empty() ? operator_ : token, text + binary,
               binary.empty() ? "" : "Inference-Header-Content-Length: " + std::to_string(text.size()) + "\r\n");
  }
  static Json pixels(std::vector<int> data, const Json& parameters = Json::object()) {
    const auto count = static_cast<int>(data.size()) / 12;
    return {{"parameters", parameters},
            {"inputs", {{{"name", "pixels"}, {"datatype", "UINT8"}, {"shape", {count, 2, 2, 3}}, {"data", data}}}}};
  }
  void restart(app::test::FakeBackend::Delay delay, app::test::FakeBackend::Verdict verdict = {}) {
    close();
    delay_ = std::move(delay);
    verdict_ = std::move(verdict);
    open();
    run();
  }
  /// The System's books, which balance once nothing is on its way.
  Json books() { return get("/api/v1/system").json()["pictures"]; }
};

TEST_F(InferenceTest, DescribesServerAndModel) {
  EXPECT_EQ(ask("GET", "/v2/health/live", "").json()["live"], true);
  EXPECT_EQ(ask("GET", "/v2/health/ready", "").status, 503);
  EXPECT_EQ(get("/v2/models/fake/ready").status, 503);
  run();
  EXPECT_EQ(ask("GET", "/v2/health/ready", "").status, 200);
  EXPECT_EQ(get("/v2/models/fake/ready").status, 200);
  EXPECT_EQ(get("/v2").json()["name"], "gantry");
  EXPECT_THAT(get("/v2").body, HasSubstr("binary_tensor_data"));
  const auto model = get("/v2/models/fake").json();
  EXPECT_EQ(model["inputs"][0]["datatype"], "BYTES");
  EXPECT_EQ(model["outputs"].size(), 4U);
  for (const char* path : {"/v2/models/other", "/v2/models/other/ready"}) EXPECT_EQ(get(path).status, 404) << path;
  EXPECT_EQ(ask("GET", "/v2", "").status, 401);
}

TEST_F(InferenceTest, EachPictureOfABatchGetsItsOwnBoxes) {
  run();
  std::vector<int> data(36, 0);
  data[0] = 7, data[12] = 8, data[24] = 9;
  const auto reply = infer(pixels(data));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto out = reply.json();
  EXPECT_EQ(out["model_name"], "fake");
  EXPECT_EQ(out["parameters"]["outcome"], "published");
  EXPECT_EQ(out["outputs"][0]["data"], Json({1, 1, 1}));
  EXPECT_EQ(out["outputs"][1]["shape"], Json({3, 1, 4}));
  EXPECT_EQ(out["outputs"][1]["data"], Json({7, 0, 8, 1, 8, 0, 9, 1, 9, 0, 10, 1}));
  EXPECT_EQ(out["outputs"][3]["data"], Json({1, 1, 1}));
  EXPECT_EQ(books()["published"], 3);
  const auto metrics = get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("\ngantry_pictures_received_total 3\n"));
  EXPECT_THAT(metrics, HasSubstr("\ngantry_pictures_total{outcome=\"published\"} 3\n"));
  EXPECT_THAT(metrics, HasSubstr("\ngantry_pictures_total{outcome=\"expired\"} 0\n"));
  EXPECT_THAT(metrics, HasSubstr("\ngantry_pictures_in_flight 0\n"));
}

TEST_F(InferenceTest, OutputsComeAsBinaryWhereAskedFor) {
  run();
  auto head = pixels(std::vector<int>(12, 5));
  head["id"] = "mine";
  head["outputs"] = {{{"name", "boxes"}, {"parameters", {{"binary_data", true}}}}, {{"name", "classes"}}};
  const auto reply = infer(head);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto at = reply.head.find("Inference-Header-Content-Length: ");
  ASSERT_NE(at, std::string::npos) << reply.head;
  const auto length = std::stoul(reply.head.substr(at + 33));
  const auto out = Json::parse(reply.body.substr(0, length));
  EXPECT_EQ(out["id"], "mine");
  EXPECT_EQ(out["outputs"][0]["parameters"]["binary_data_size"], 16);
  EXPECT_EQ(out["outputs"][1]["data"], Json({1}));
  float box[4];
  ASSERT_EQ(reply.body.size() - length, sizeof box);
  std::memcpy(box, reply.body.data() + length, sizeof box);
  EXPECT_EQ(box[0], 5);
  EXPECT_EQ(box[2], 6);
}

TEST_F(InferenceTest, RolesAndLimitsHold) {
  run();
  const auto head = pixels(std::vector<int>(12, 0));
  EXPECT_EQ(ask("POST", kInfer, "", head.dump()).status, 401);
  EXPECT_EQ(infer(head, "", viewer_).status, 403);
  EXPECT_EQ(ask("POST", "/v2/models/other/infer", operator_, head.dump()).status, 404);
  EXPECT_EQ(ask("POST", kInfer, operator_, head.dump(), "Content-Encoding: gzip\r\n").status, 415);
  RawClient large(server_->port());
  large.send("POST " + std::string(kInfer) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + operator_ +
             "\r\nContent-Length: 99000000\r\n\r\n");
  EXPECT_EQ(status_of(large.response()), 413);
  const auto wrong = infer({{"inputs", Json::array()}});
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.json()["error"], wrong.json()["detail"]);  // what clients of the protocol read
}

TEST_F(InferenceTest, AnImageThatIsNoneIsRefusedAndTheBooksBalance) {
  run();
  const Json head = {
      {"inputs",
       {{{"name", "image"}, {"datatype", "BYTES"}, {"shape", {1}}, {"parameters", {{"binary_data_size", 8}}}}}}};
  const auto reply = infer(head, std::string{"\x04\x00\x00\x00"
                                             "PNG?",
                                             8});
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body, HasSubstr("inputs[0], picture 0: not a picture"));
  EXPECT_EQ(books()["received"], 0);
}

TEST_F(InferenceTest, ATimeoutThatPassesIs504WithItsReason) {
  restart([](const engine::Batch&) { return 300ms; });
  ASSERT_TRUE(published("gate"));  // the back end is busy from here on
  const auto reply = infer(pixels(std::vector<int>(12, 0), {{"timeout", 1}}));
  EXPECT_EQ(reply.status, 504) << reply.body;
  EXPECT_THAT(reply.body, testing::AnyOf(HasSubstr("expired"), HasSubstr("predicted_late")));
  EXPECT_EQ(books()["dropped_total"], 1);
  EXPECT_EQ(books()["received"], 1);
}

TEST_F(InferenceTest, AFaultOfTheDeviceIs500) {
  restart({}, [](const engine::Batch& batch) -> Result<void> {
    return batch.entries[0].frame.camera == 0 ? Result<void>{fail(ErrorCode::kDevice, "broken")} : Result<void>{};
  });
  const auto reply = infer(pixels(std::vector<int>(12, 0)));
  EXPECT_EQ(reply.status, 500) << reply.body;
  EXPECT_THAT(reply.body, HasSubstr("engine_error"));
  EXPECT_TRUE(published("gate")) << "the camera goes on";
}

TEST_F(InferenceTest, UrgentPicturesOvertakeOthers) {
  std::mutex mutex;
  std::vector<int> order;
  config_.cameras.clear();
  restart([&](const engine::Batch& batch) {
    const std::lock_guard lock{mutex};
    order.push_back(batch.entries[0].frame.image.planes[0].data[0]);
    return 100ms;
  });
  const auto send = [&](int value, int priority) {
    auto client = std::make_unique<RawClient>(server_->port());
    const auto body = pixels(std::vector<int>(12, value), {{"priority", priority}, {"timeout", 20'000'000}}).dump();
    client->send("POST " + std::string(kInfer) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + operator_ +
                 "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client;
  };
  std::vector<std::unique_ptr<RawClient>> clients;
  clients.push_back(send(1, 0));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock{mutex};
    return !order.empty();
  }));
  for (int i = 0; i < 3; ++i) clients.push_back(send(2, 4));
  clients.push_back(send(3, 2));
  ASSERT_TRUE(eventually([&] { return books()["in_flight"] == 5; }));
  for (auto& client : clients) EXPECT_EQ(status_of(client->response()), 200);
  const std::lock_guard lock{mutex};
  ASSERT_EQ(order.size(), 5U);
  EXPECT_EQ(order[1], 3) << "the urgent picture came last and is second";
}

TEST_F(InferenceTest, StoppingAnswersWhatWaits) {
  config_.cameras.clear();
  restart([](const engine::Batch&) { return 200ms; });
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto body = pixels(std::vector<int>(12, 1)).dump();
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->port()));
    clients.back()->send("POST " + std::string(kInfer) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + operator_ +
                         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  ASSERT_TRUE(eventually([&] { return books()["received"] == 8; }));
  system_->stop();
  for (auto& client : clients) EXPECT_NE(status_of(client->response()), 0) << "no answer";
  EXPECT_EQ(system_->pictures().in_flight, 0U);
}

}  // namespace
}  // namespace gantry::server
