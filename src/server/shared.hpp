#pragma once
// What all sessions of one HttpServer share. Lives on the server's thread, but for the atomic counters.
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>

#include "gantry/server/http_server.hpp"
#include "server/guard.hpp"

namespace gantry::server {

namespace net = boost::asio;
namespace beast = boost::beast;

struct Shared {
  Shared(HttpServerOptions o, Router r, TokenStore& t, HttpServer::Observer obs)
      : options(std::move(o)), router(std::move(r)), tokens(t), observer(std::move(obs)), guard(options, tokens) {}

  HttpServerOptions options;
  Router router;
  TokenStore& tokens;
  HttpServer::Observer observer;
  Guard guard;
  /// Responders and wake-up functions hold it too: they may fire after the server has stopped.
  std::shared_ptr<net::io_context> io = std::make_shared<net::io_context>(1);
  std::optional<net::ssl::context> tls;

  /// An open connection, so that one that only idles can make room.
  struct Connection {
    beast::tcp_stream* stream = nullptr;
    std::string peer;
    bool idle = false;
    std::chrono::steady_clock::time_point since;
  };
  std::list<Connection> connections;

  std::atomic<int> connection_count{0};
  std::atomic<int> stream_count{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> refused_connections{0};
  std::atomic<std::uint64_t> refused_requests{0};
};

}  // namespace gantry::server
