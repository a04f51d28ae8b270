#include "gantry/server/http_server.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "gantry/core/errors.hpp"
#include "server/shared.hpp"
#include "server/wire.hpp"

namespace gantry::server {

using boost::system::error_code;

net::awaitable<void> serve_plain(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer);
net::awaitable<void> serve_tls(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer);

namespace {

/// Bytes that the kernel keeps for a client that does not read; by itself it would go to megabytes a connection.
constexpr int kSendBuffer = 256 * 1024;

/// Closes the connection (of one client, or of any where `peer` is empty) that has idled longest, if one idles at all,
/// so that a crowd of idle connections locks nobody out.
bool make_room(Shared& shared, std::string_view peer = {}) {
  Shared::Connection* oldest = nullptr;
  for (auto& connection : shared.connections)
    if (connection.idle && (peer.empty() || connection.peer == peer) &&
        (oldest == nullptr || connection.since < oldest->since))
      oldest = &connection;
  if (oldest == nullptr || std::chrono::steady_clock::now() - oldest->since < std::chrono::seconds{1}) return false;
  oldest->idle = false;
  oldest->stream->close();
  return true;
}

bool within_connections(Shared& shared) {
  return shared.connection_count.load() < shared.options.max_connections || make_room(shared);
}

void configure_tls(net::ssl::context& tls, const TlsFiles& files) {
  if (SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION) != 1)
    throw StartupError("this OpenSSL can't be held to TLS 1.2 and up");
  error_code error;
  tls.use_certificate_chain_file(files.certificate.string(), error);
  if (error)
    throw ConfigError(files.certificate.string() + ": no usable certificate (" + error.message() +
                      "); make one with `gantry cert self-signed`");
  tls.use_private_key_file(files.key.string(), net::ssl::context::pem, error);
  if (error) throw ConfigError(files.key.string() + ": no usable private key (" + error.message() + ")");
  if (SSL_CTX_check_private_key(tls.native_handle()) != 1)
    throw ConfigError(files.key.string() + ": does not belong to the certificate " + files.certificate.string());
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Router router, TokenStore& tokens, Observer observer)
      : shared_(std::make_shared<Shared>(std::move(options), std::move(router), tokens, std::move(observer))),
        acceptor_(*shared_->io) {
    const HttpServerOptions& o = shared_->options;
    error_code error;
    const auto address = net::ip::make_address(o.address, error);
    if (error) throw ConfigError("server.address: " + o.address + " is no IP address; 127.0.0.1 and 0.0.0.0 are");
    if (!o.tls && !o.insecure && !address.is_loopback())
      throw ConfigError("server.address: " + o.address +
                        " is reachable from other machines, and without TLS tokens could be read on the way; set "
                        "server.tls.certificate and server.tls.key, or server.insecure: true");
    if (o.tls) {
      shared_->tls.emplace(net::ssl::context::tls_server);
      configure_tls(*shared_->tls, *o.tls);
    }
    const net::ip::tcp::endpoint endpoint(address, o.port);
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(net::socket_base::reuse_address(true));
    acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error)
      throw StartupError("can't listen on " + o.address + ":" + std::to_string(o.port) + ": " + error.message() +
                         "; set server.port to a free one");
    port_ = acceptor_.local_endpoint().port();
  }

  ~Impl() { stop(); }

  void start() {
    net::co_spawn(*shared_->io, accept(), net::detached);
    thread_ = std::thread([io = shared_->io] { io->run(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    // Close every connection and let its session unwind; what a handler still holds on to is abandoned.
    net::post(*shared_->io, [this] {
      error_code ignored;
      acceptor_.close(ignored);
      for (auto& connection : shared_->connections) connection.stream->close();
    });
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{3};
    while (shared_->connection_count.load() > 0 && std::chrono::steady_clock::now() < patience)
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    shared_->io->stop();
    thread_.join();
  }

  std::uint16_t port() const noexcept { return port_; }
  const Shared& shared() const noexcept { return *shared_; }

 private:
  net::awaitable<void> accept() {
    for (;;) {
      error_code error;
      net::ip::tcp::socket socket = co_await acceptor_.async_accept(net::redirect_error(net::use_awaitable, error));
      if (error == net::error::operation_aborted) co_return;
      if (error) {
        // Out of descriptors, most likely: let some close before the next try.
        make_room(*shared_);
        net::steady_timer pause(*shared_->io, std::chrono::milliseconds{20});
        co_await pause.async_wait(net::redirect_error(net::use_awaitable, error));
        continue;
      }
      socket.set_option(net::ip::tcp::no_delay(true), error);
      socket.set_option(net::socket_base::send_buffer_size(kSendBuffer), error);
      const auto remote = socket.remote_endpoint(error);
      if (error) continue;
      const std::string peer = remote.address().to_string();
      if (!within_peer(peer) || !within_connections(*shared_)) {
        shared_->refused_connections.fetch_add(1, std::memory_order_relaxed);
        if (!shared_->tls) {
          const Response busy = problem(503, "Service Unavailable", "too many connections");
          const std::string text = response_head(busy, {false, false, false}) + busy.body;
          socket.non_blocking(true, error);
          socket.write_some(net::buffer(text), error);  // a small answer fits the socket's buffer, or is lost
        }
        continue;
      }
      auto work =
          shared_->tls ? serve_tls(shared_, std::move(socket), peer) : serve_plain(shared_, std::move(socket), peer);
      ++peers_[peer];
      net::co_spawn(*shared_->io, std::move(work), [this, peer](const std::exception_ptr&) {
        if (--peers_[peer] == 0) peers_.erase(peer);
      });
    }
  }

  bool within_peer(const std::string& peer) {
    const auto found = peers_.find(peer);
    return found == peers_.end() || found->second < shared_->options.max_connections_per_peer ||
           make_room(*shared_, peer);
  }

  std::shared_ptr<Shared> shared_;
  net::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::unordered_map<std::string, int> peers_;
  std::thread thread_;
};

HttpServer::HttpServer(HttpServerOptions options, Router router, TokenStore& tokens, Observer observer)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router), tokens, std::move(observer))) {}
HttpServer::~HttpServer() = default;
void HttpServer::start() {
  impl_->start();
}
void HttpServer::stop() {
  impl_->stop();
}
std::uint16_t HttpServer::port() const noexcept {
  return impl_->port();
}
bool HttpServer::tls() const noexcept {
  return impl_->shared().tls.has_value();
}

HttpServerStats HttpServer::stats() const noexcept {
  const Shared& s = impl_->shared();
  return {s.connection_count.load(), s.stream_count.load(), s.requests.load(), s.refused_connections.load(),
          s.refused_requests.load()};
}

}  // namespace gantry::server
