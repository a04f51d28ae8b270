#pragma once
// Listens, reads requests within limits, lets the router answer them, and keeps streams alive. HTTP/1.1, TLS 1.2 and
// up.
//
// Threads: one of its own, which runs every handler; handlers that take long answer later through their Responder.
// Every limit has its status: 408 slow request, 413 body, 429 rate, 431 header, 503 connections.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/server/router.hpp"
#include "gantry/server/tokens.hpp"

namespace gantry::server {

struct TlsFiles {
  std::filesystem::path certificate;  ///< PEM, chain
  std::filesystem::path key;          ///< PEM
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  ///< 0: any free one, see HttpServer::port()
  std::unique_ptr<TlsFiles> tls;
  bool insecure = false;  ///< allows plain HTTP on addresses other than loopback
  std::size_t max_header_bytes = 16 * 1024;
  int max_connections = 1024;
  int max_connections_per_peer = 1024;         ///< a client address
  double requests_per_second_per_peer = 5000;  ///< sustained; bursts of two seconds
  double failures_per_minute_per_peer = 60;    ///< wrong credentials, then 429
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds write_timeout{20'000};
  std::chrono::milliseconds stream_check{1000};  ///< how often a waiting stream looks whether its token still holds
};

struct HttpServerStats {
  int connections = 0;
  int streams = 0;
  std::uint64_t requests = 0;
  std::uint64_t refused_connections = 0;
  std::uint64_t refused_requests = 0;  ///< 4xx by the server itself: limits, credentials, origin
};

class HttpServer {
 public:
  /// Called after every answered request; for access and audit logs. On the server's thread; must not block.
  using Observer = std::function<void(const Request&, int status)>;

  /// Binds at once. @throws StartupError where the address can't be bound, TLS files can't be used, or a plain server
  /// would listen beyond loopback without `insecure`.
  HttpServer(HttpServerOptions options, Router router, TokenStore& tokens, Observer observer = {});
  /// Closes connections and joins.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  void stop();
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] bool tls() const noexcept;
  [[nodiscard]] HttpServerStats stats() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::server
