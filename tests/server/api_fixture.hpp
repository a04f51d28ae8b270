#pragma once
// The API over a real System whose cameras are scripted sources and whose back end is a fake, through real sockets.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/fakes.hpp"
#include "gantry/media/source_factory.hpp"
#include "gantry/server/api.hpp"
#include "server/raw_client.hpp"

namespace gantry::server {

using namespace std::chrono_literals;

/// Every source "fakecam://…" is a live camera of about 50 pictures a second that never ends.
inline void register_fake_cameras() {
  static std::atomic<int> alive{0};
  static const bool once = [] {
    media::register_scheme("fakecam", [](const media::SourceConfig&) -> std::unique_ptr<media::Source> {
      return std::make_unique<app::test::FakeSource>(
          1'000'000, alive,
          [](std::uint64_t) -> std::optional<Error> {
            std::this_thread::sleep_for(20ms);
            return std::nullopt;
          },
          true);
    });
    return true;
  }();
  static_cast<void>(once);
}

class ApiTest : public testing::Test {
 protected:
  ApiTest() : folder_(make_folder()), tokens_(folder_ / "tokens.json") {
    register_fake_cameras();
    viewer_ = *tokens_.create("viewer", Role::kViewer, std::nullopt);
    operator_ = *tokens_.create("operator", Role::kOperator, std::nullopt);
    config_.cameras["gate"].source = "fakecam://viewer:hunter2@gate";
    open();
  }
  ~ApiTest() override {
    close();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    state_ = std::make_unique<CameraState>(folder_ / "cameras.json");
    std::vector<std::unique_ptr<engine::Backend>> backends;
    backends.push_back(std::make_unique<app::test::FakeBackend>(1, 1, delay_, verdict_));
    system_ = std::make_unique<app::System>(state_->over(config_), std::move(backends), clock_,
                                            [](app::Severity, std::string_view) {});
    ApiOptions options;
    options.version = "test";
    options.allow_sources = {"fakecam://"};
    options.log = [this](app::Severity, std::string_view text) {
      const std::lock_guard lock{log_mutex_};
      log_ += std::string(text) + "\n";
    };
    api_ = std::make_unique<Api>(*system_, *state_, tokens_, clock_, options);
    Router router;
    api_->add_routes(router);
    HttpServerOptions http;
    http.port = 0;
    server_ = std::make_unique<HttpServer>(std::move(http), std::move(router), tokens_);
    api_->watch(server_.get());
    server_->start();
  }
  void run() {
    system_->start();
    api_->set_phase(Phase::kRunning);
  }
  void close() {
    server_->stop();
    api_->watch(nullptr);
    api_.reset();
    server_.reset();
    system_.reset();
  }

  struct Reply {
    int status = 0;
    std::string head;
    std::string body;
    [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
  };
  Reply ask(const std::string& method, const std::string& path, const std::string& token, const std::string& body = "",
            const std::string& headers = "") {
    RawClient client(server_->port());
    std::string request = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
    if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
    request += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    client.send(request);
    const std::string all = client.response();
    const auto end = all.find("\r\n\r\n");
    if (end == std::string::npos) return {};
    return {status_of(all), all.substr(0, end), all.substr(end + 4)};
  }
  Reply get(const std::string& path) { return ask("GET", path, viewer_); }

  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  bool published(const std::string& id) {
    return eventually([&] {
      const auto camera = system_->camera(id);
      return camera && camera->frames.published() > 0;
    });
  }
  std::string log() {
    const std::lock_guard lock{log_mutex_};
    return log_;
  }

  static std::filesystem::path make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gantry-api-XXXXXX").string();
    return ::mkdtemp(name.data());
  }

  app::test::FakeBackend::Delay delay_;      // of the back end that open() makes
  app::test::FakeBackend::Verdict verdict_;  // of the same
  const SteadyClock clock_;
  const std::filesystem::path folder_;
  TokenStore tokens_;
  config::Config config_;
  std::unique_ptr<CameraState> state_;
  std::unique_ptr<app::System> system_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<HttpServer> server_;
  std::string viewer_, operator_;
  std::mutex log_mutex_;
  std::string log_;
};

}  // namespace gantry::server
