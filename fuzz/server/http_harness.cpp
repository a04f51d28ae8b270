#include "http_harness.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <filesystem>

#include "app/fakes.hpp"
#include "gantry/media/source_factory.hpp"
#include "gantry/server/api.hpp"
#include "server/shared.hpp"

namespace gantry::server {
net::awaitable<void> serve_plain(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer);
}

namespace gantry::server::fuzz {
namespace {

/// A camera that never shows anything.
class SilentSource final : public media::Source {
 public:
  Result<void> open() override { return {}; }
  Result<media::Packet> next() override {
    std::unique_lock lock{mutex_};
    wake_.wait(lock, [this] { return cancelled_; });
    return fail(ErrorCode::kCancelled, "cancelled");
  }
  const media::StreamInfo& stream() const noexcept override { return stream_; }
  void cancel() noexcept override {
    {
      const std::lock_guard lock{mutex_};
      cancelled_ = true;
    }
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
  media::StreamInfo stream_;
};

std::filesystem::path make_folder() {
  const char* memory = "/dev/shm";
  const auto base = std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
  std::string name = (base / std::filesystem::path("gantry-fuzz-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

config::Config one_camera() {
  config::Config config;
  config.cameras["gate"].source = "silent://gate";
  return config;
}

std::vector<std::unique_ptr<engine::Backend>> back_ends() {
  std::vector<std::unique_ptr<engine::Backend>> out;
  out.push_back(std::make_unique<app::test::FakeBackend>());
  return out;
}

}  // namespace

class HttpHarness::Impl {
 public:
  Impl() {
    Router router;
    api_.add_routes(router);
    HttpServerOptions options;
    options.requests_per_second_per_peer = options.failures_per_minute_per_peer = 1e12;
    options.stream_check = std::chrono::milliseconds{1};
    shared_ = std::make_shared<Shared>(std::move(options), std::move(router), tokens_, HttpServer::Observer{});
    authorization = "Authorization: Bearer " + *tokens_.create("fuzz", Role::kOperator, std::nullopt) + "\r\n";
    system_.start();
    api_.set_phase(Phase::kRunning);
  }
  ~Impl() { std::filesystem::remove_all(folder_); }

  std::string talk(std::string_view bytes) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
    net::ip::tcp::socket socket(*shared_->io);
    socket.assign(net::ip::tcp::v4(), ends[0]);
    bool over = false;
    net::co_spawn(*shared_->io, serve_plain(shared_, std::move(socket), "192.0.2.1"),
                  [&over](const std::exception_ptr& thrown) {
                    if (thrown) std::abort();
                    over = true;
                  });
    std::string heard;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{8};
    bool said = false;
    shared_->io->restart();
    while (!over) {
      if (std::chrono::steady_clock::now() > patience) std::abort();
      if (!bytes.empty()) {
        const ssize_t sent = ::send(ends[1], bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
        if (sent < 0 && errno == EPIPE) bytes = {};
      } else if (!said) {
        said = true;
        ::shutdown(ends[1], SHUT_WR);
      }
      // Streams go on until their reader leaves.
      if (said && shared_->stream_count > 0)
        for (auto& connection : shared_->connections) connection.stream->close();
      shared_->io->run_one_for(std::chrono::milliseconds{1});
      shared_->io->poll();
      char buffer[16384];
      for (ssize_t got = 0; (got = ::recv(ends[1], buffer, sizeof buffer, 0)) > 0;)
        heard.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(ends[1]);
    tidy();
    return heard;
  }

  std::string authorization;

 private:
  /// Requests add cameras; an input starts from few of them.
  void tidy() {
    const auto cameras = system_.config().cameras;
    if (cameras.size() <= 4 && cameras.contains("gate")) return;
    for (const auto& [id, camera] : cameras)
      if (id != "gate") (void)system_.remove_camera(id);
    if (!cameras.contains("gate")) (void)system_.add_camera("gate", one_camera().cameras.at("gate"));
  }

  static ApiOptions api_options() {
    ApiOptions options;
    options.version = "fuzz";
    options.allow_sources = {"silent://"};
    options.resolve = [](const std::string& host) { return std::vector<std::string>{host}; };
    return options;
  }

  const bool registered_ = [] {
    media::register_scheme("silent", [](const media::SourceConfig&) { return std::make_unique<SilentSource>(); });
    // Whatever passes the gate stays unconnected.
    for (const char* scheme : {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "scene"})
      media::register_scheme(scheme, [](const media::SourceConfig&) { return std::make_unique<SilentSource>(); });
    return true;
  }();
  const std::filesystem::path folder_ = make_folder();
  const SteadyClock clock_;
  TokenStore tokens_{folder_ / "tokens.json"};
  CameraState state_{folder_ / "cameras.json"};
  app::System system_{one_camera(), back_ends(), clock_, [](app::Severity, std::string_view) {}};
  Api api_{system_, state_, tokens_, clock_, api_options()};
  std::shared_ptr<Shared> shared_;
};

HttpHarness::HttpHarness() : impl_(std::make_unique<Impl>()) {}
HttpHarness::~HttpHarness() = default;
std::string HttpHarness::talk(std::string_view bytes) {
  return impl_->talk(bytes);
}
const std::string& HttpHarness::authorization() const {
  return impl_->authorization;
}

}  // namespace gantry::server::fuzz
