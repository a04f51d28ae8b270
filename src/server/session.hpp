#pragma once
// One connection, from its first byte to its last, as a coroutine. A template over plain and TLS streams; instantiated
// once each in session_plain.cpp and session_tls.cpp, because these headers are what takes time to compile.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cctype>
#include <utility>

#include "server/shared.hpp"
#include "server/wire.hpp"

namespace gantry::server {

namespace http = beast::http;
namespace websocket = beast::websocket;
using boost::system::error_code;

/// Moves the wake-up of a Stream onto the session's thread, and outlives either of them.
class Waker : public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(std::shared_ptr<net::io_context> io) : io_(std::move(io)), timer_(*io_) {}

  [[nodiscard]] std::function<void()> function() {
    return [self = shared_from_this()] {
      if (self->pending_.exchange(true)) return;
      // Weak: what is posted after the server has stopped stays with the context, which must not keep itself alive.
      net::post(*self->io_, [weak = self->weak_from_this()] {
        if (const auto waker = weak.lock()) waker->timer_.cancel();
      });
    };
  }
  /// Waits for a wake-up, at most `longest`.
  net::awaitable<void> wait(std::chrono::milliseconds longest) {
    if (!pending_.load()) {
      timer_.expires_after(longest);
      error_code ignored;
      co_await timer_.async_wait(net::redirect_error(net::use_awaitable, ignored));
    }
    pending_.store(false);
  }

 private:
  std::shared_ptr<net::io_context> io_;
  net::steady_timer timer_;
  std::atomic<bool> pending_{false};
};

/// Ends a read that takes too long, and leaves the connection open for the answer that says so. (The stream's own
/// time-out closes it.)
class ReadLimit {
 public:
  ReadLimit(Shared& shared, beast::tcp_stream& stream, std::chrono::milliseconds limit)
      : state_(std::make_shared<State>(*shared.io)) {
    stream.expires_never();
    state_->timer.expires_after(limit);
    state_->timer.async_wait([state = state_, &stream](error_code cancelled) {
      if (cancelled || state->over) return;
      state->fired = true;
      stream.cancel();
    });
  }
  ~ReadLimit() {
    state_->over = true;
    state_->timer.cancel();
  }
  ReadLimit(const ReadLimit&) = delete;
  ReadLimit& operator=(const ReadLimit&) = delete;
  /// `error` as it should be reported.
  [[nodiscard]] error_code result(error_code error) const {
    return error && state_->fired ? error_code(beast::error::timeout) : error;
  }

 private:
  struct State {
    explicit State(net::io_context& io) : timer(io) {}
    net::steady_timer timer;
    bool fired = false;
    bool over = false;
  };
  std::shared_ptr<State> state_;
};

/// Half-closes a connection whose request was answered before all of it had come, and throws away what the peer still
/// sends: closing at once would reset the connection, and a peer that is busy sending would never see the answer
/// (RFC 9112, 9.6). Ends when the peer closes, falls silent or has had its time.
net::awaitable<void> linger(beast::tcp_stream& stream);

template <typename Socket>
class Session {
 public:
  Session(std::shared_ptr<Shared> shared, Socket& socket, std::string peer, Shared::Connection& connection)
      : shared_(std::move(shared)), socket_(socket), peer_(std::move(peer)), connection_(connection) {}

  net::awaitable<void> run() {
    // A condition that awaits, in a loop or a short-circuit, is miscompiled by g++ 12: await first, then decide.
    for (;;) {
      const bool goes_on = co_await one_request();
      if (!goes_on) break;
    }
    mark(true);  // of no more use than an idle one: the first to go when others want in
  }
  /// Whether the peer may still be sending a request that has been answered.
  [[nodiscard]] bool answered_early() const { return answered_early_; }

 private:
  using Parser = http::request_parser<http::empty_body>;

  beast::tcp_stream& tcp() { return beast::get_lowest_layer(socket_); }
  const HttpServerOptions& options() const { return shared_->options; }

  void mark(bool idle) {
    connection_.idle = idle;
    connection_.since = std::chrono::steady_clock::now();
  }

  /// @return whether the connection goes on.
  net::awaitable<bool> one_request() {
    error_code error;
    if (buffer_.size() == 0) {
      // Waiting for a request to begin is idling; once it has begun it must come at a decent pace.
      mark(true);
      tcp().expires_after(first_ ? options().header_timeout : options().idle_timeout);
      const std::size_t got =
          co_await socket_.async_read_some(buffer_.prepare(4096), net::redirect_error(net::use_awaitable, error));
      if (error) co_return false;
      buffer_.commit(got);
      mark(false);
    }
    first_ = false;
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(options().max_header_bytes));
    parser.body_limit(boost::none);
    {
      const ReadLimit limit(*shared_, tcp(), options().header_timeout);
      co_await http::async_read_header(socket_, buffer_, parser, net::redirect_error(net::use_awaitable, error));
      error = limit.result(error);
    }
    if (error) {
      co_await refuse_malformed(error);
      co_return false;
    }
    shared_->requests.fetch_add(1, std::memory_order_relaxed);

    Request request;
    const bool upgrade = websocket::is_upgrade(parser.get());
    const Route* route = nullptr;
    std::optional<Response> refusal = examine(parser, upgrade, request, route);
    if (refusal) {
      shared_->refused_requests.fetch_add(1, std::memory_order_relaxed);
      const bool has_body = parser.chunked() || parser.content_length().value_or(0) > 0;
      const bool keep = parser.keep_alive() && !has_body;
      answered_early_ = has_body;
      const bool written = co_await write(request, *refusal, keep);
      co_return written&& keep;
    }
    if (upgrade) {
      co_await serve_websocket(parser.release(), request, *route);
      co_return false;
    }
    const bool keep_alive = parser.keep_alive();
    if (!parser.is_done()) {
      const bool complete = co_await read_body(parser, request, *route);
      if (!complete) co_return false;
    }
    Response response = co_await answer(*route, request);
    if (response.stream) {
      co_await write_stream(request, response);
      co_return false;
    }
    const bool written = co_await write(request, response, keep_alive);
    co_return written&& keep_alive;
  }

  /// Fills `request` and `route`, or says why the request is refused before its body is read.
  std::optional<Response> examine(const Parser& parser, bool upgrade, Request& request, const Route*& route) {
    const auto& message = parser.get();
    request.method = std::string(message.method_string());
    request.peer = peer_;
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      std::string& value = request.headers[name];
      if (!value.empty()) value += ", ";
      value += std::string(field.value());
    }
    if (message.version() == 11 && message.count(http::field::host) != 1)
      return problem(400, "Bad Request", "exactly one Host header is needed");
    if (message.count(http::field::transfer_encoding) > 0 && message.count(http::field::content_length) > 0)
      return problem(400, "Bad Request", "Transfer-Encoding and Content-Length exclude each other");
    Target target = parse_target(std::string_view(message.target().data(), message.target().size()));
    if (target.path.empty()) return problem(400, "Bad Request", "the request's path can't be read");
    request.path = std::move(target.path);
    request.query = std::move(target.query);
    const auto now = std::chrono::steady_clock::now();
    if (!shared_->guard.within_rate(peer_, now)) {
      Response slow = problem(429, "Too Many Requests", "more requests than one client may make; wait a second");
      slow.headers.emplace_back("Retry-After", "1");
      return slow;
    }
    Router::Match match = shared_->router.find(request.method, request.path);
    if (match.route == nullptr && match.allow.empty())
      return problem(404, "Not Found", "there is nothing at " + request.path);
    if (match.route == nullptr) {
      Response wrong = problem(405, "Method Not Allowed", request.path + " answers " + match.allow);
      wrong.headers.emplace_back("Allow", match.allow);
      return wrong;
    }
    if (upgrade && !match.route->websocket) return problem(400, "Bad Request", request.path + " is no WebSocket");
    route = match.route;
    request.params = std::move(match.params);
    if (auto refused = shared_->guard.refuse(request, *route, upgrade, now)) return refused;
    if (parser.content_length().value_or(0) > route->max_body_bytes)
      return problem(413, "Content Too Large", "at most " + std::to_string(route->max_body_bytes) + " bytes here");
    return std::nullopt;
  }

  net::awaitable<bool> read_body(Parser& parser, Request& request, const Route& route) {
    error_code error;
    const bool expects = beast::iequals(parser.get()[http::field::expect], "100-continue");
    http::request_parser<http::string_body> body(std::move(parser));
    body.body_limit(route.max_body_bytes);
    if (expects) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await net::async_write(socket_, net::buffer(kContinue.data(), kContinue.size()),
                                net::redirect_error(net::use_awaitable, error));
      if (error) co_return false;
    }
    {
      const ReadLimit limit(*shared_, tcp(), options().body_timeout);
      co_await http::async_read(socket_, buffer_, body, net::redirect_error(net::use_awaitable, error));
      error = limit.result(error);
    }
    if (error) {
      co_await refuse_malformed(error);
      co_return false;
    }
    request.body = std::move(body.get().body());
    co_return true;
  }

  net::awaitable<void> refuse_malformed(error_code error) {
    Response response;
    if (error == beast::error::timeout)
      response = problem(408, "Request Timeout", "the request came too slowly");
    else if (error == http::error::header_limit || error == http::error::buffer_overflow)
      response = problem(431, "Request Header Fields Too Large",
                         "at most " + std::to_string(options().max_header_bytes) + " bytes of header");
    else if (error == http::error::body_limit)
      response = problem(413, "Content Too Large", "this body is larger than this path takes");
    else if (error.category() == make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message)
      response = problem(400, "Bad Request", "this is not HTTP/1.1: " + error.message());
    else
      co_return;  // the client went away
    shared_->refused_requests.fetch_add(1, std::memory_order_relaxed);
    Request nothing;
    nothing.peer = peer_;
    answered_early_ = true;
    co_await write(nothing, response, false);
  }

  /// Runs the handler. An exception, or a handler that forgets to answer, is a 500.
  net::awaitable<Response> answer(const Route& route, Request& request) {
    tcp().expires_never();
    co_return co_await net::async_initiate<const net::use_awaitable_t<>, void(Response)>(
        [this, &route, &request](auto handler) {
          using Completion = decltype(handler);
          struct Once {
            Once(Completion h, std::shared_ptr<net::io_context> i) : handler(std::move(h)), io(std::move(i)) {}
            ~Once() { send(problem(500, "Internal Server Error", "the request was not answered")); }
            void send(Response response) {
              if (sent.exchange(true)) return;
              net::post(*io,
                        [h = std::move(handler), r = std::move(response)]() mutable { std::move(h)(std::move(r)); });
            }
            Completion handler;
            std::shared_ptr<net::io_context> io;
            std::atomic<bool> sent{false};
          };
          auto once = std::make_shared<Once>(std::move(handler), shared_->io);
          try {
            route.handler(request, [once](Response response) { once->send(std::move(response)); });
          } catch (const std::exception&) {
            once->send(problem(500, "Internal Server Error", "the request failed; the server's log says why"));
          }
        },
        net::use_awaitable);
  }

  net::awaitable<bool> write(const Request& request, const Response& response, bool keep_alive) {
    const std::string head = response_head(response, {keep_alive, false, shared_->tls.has_value()});
    const std::string& body = response.shared_body ? *response.shared_body : response.body;
    const bool no_body = request.method == "HEAD" || response.status == 204 || response.status == 304;
    const std::array<net::const_buffer, 2> parts{net::buffer(head), no_body ? net::const_buffer{} : net::buffer(body)};
    error_code error;
    tcp().expires_after(options().write_timeout);
    co_await net::async_write(socket_, parts, net::redirect_error(net::use_awaitable, error));
    if (shared_->observer) shared_->observer(request, response.status);
    co_return !error;
  }

  net::awaitable<void> write_stream(const Request& request, Response& response) {
    const StreamCount count(*shared_);
    error_code error;
    const std::string head = response_head(response, {false, true, shared_->tls.has_value()});
    tcp().expires_after(options().write_timeout);
    co_await net::async_write(socket_, net::buffer(head), net::redirect_error(net::use_awaitable, error));
    if (shared_->observer) shared_->observer(request, response.status);
    auto waker = std::make_shared<Waker>(shared_->io);
    response.stream->on_ready(waker->function());
    std::string data;
    auto checked = std::chrono::steady_clock::now();
    while (!error && tcp().socket().is_open()) {
      const auto now = std::chrono::steady_clock::now();
      if (now - checked > options().stream_check) {
        checked = now;
        if (!shared_->tokens.valid(request.principal)) break;
      }
      const Stream::Poll state = response.stream->poll(data);
      if (state == Stream::Poll::kEnd) break;
      if (state == Stream::Poll::kWait) {
        co_await waker->wait(options().stream_check);
        continue;
      }
      const std::string piece = chunk(data);
      tcp().expires_after(options().write_timeout);
      co_await net::async_write(socket_, net::buffer(piece), net::redirect_error(net::use_awaitable, error));
    }
    if (!error) {
      const std::string last = chunk({});
      tcp().expires_after(options().write_timeout);
      co_await net::async_write(socket_, net::buffer(last), net::redirect_error(net::use_awaitable, error));
    }
  }

  net::awaitable<void> serve_websocket(http::request<http::empty_body> upgrade, Request& request, const Route& route) {
    Response response = co_await answer(route, request);
    if (!response.websocket || !response.stream) {
      co_await write(request, response, false);
      co_return;
    }
    if (shared_->observer) shared_->observer(request, 101);
    const StreamCount count(*shared_);
    tcp().expires_never();
    auto ws = std::make_shared<websocket::stream<Socket&>>(socket_);
    ws->set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
    ws->read_message_max(64 * 1024);
    error_code error;
    co_await ws->async_accept(upgrade, net::redirect_error(net::use_awaitable, error));
    if (error) co_return;
    auto waker = std::make_shared<Waker>(shared_->io);
    const auto wake = waker->function();
    response.stream->on_ready(wake);
    // The reader runs beside the writer below and ends when the connection does; the writer waits for it, because both
    // use this session's socket.
    auto reading = std::make_shared<bool>(true);
    net::co_spawn(*shared_->io, read_messages(*ws, response.stream, reading, wake), net::detached);
    std::string message;
    auto checked = std::chrono::steady_clock::now();
    while (!error && *reading && tcp().socket().is_open()) {
      const auto now = std::chrono::steady_clock::now();
      if (now - checked > options().stream_check) {
        checked = now;
        if (!shared_->tokens.valid(request.principal)) break;
      }
      const Stream::Poll state = response.stream->poll(message);
      if (state == Stream::Poll::kEnd) break;
      if (state == Stream::Poll::kWait) {
        co_await waker->wait(options().stream_check);
        continue;
      }
      ws->text(true);
      // The protocol's own time-out watches reads; a reader that takes nothing is noticed here.
      net::steady_timer stalled(*shared_->io, options().write_timeout);
      stalled.async_wait([this](error_code cancelled) {
        if (!cancelled) tcp().close();
      });
      co_await ws->async_write(net::buffer(message), net::redirect_error(net::use_awaitable, error));
      stalled.cancel();
    }
    if (*reading && !error)
      co_await ws->async_close(websocket::close_code::policy_error, net::redirect_error(net::use_awaitable, error));
    tcp().close();
    while (*reading) co_await waker->wait(options().stream_check);
  }

  static net::awaitable<void> read_messages(websocket::stream<Socket&>& ws, std::shared_ptr<Stream> stream,
                                            std::shared_ptr<bool> reading, std::function<void()> wake) {
    beast::flat_buffer buffer;
    for (;;) {
      error_code error;
      co_await ws.async_read(buffer, net::redirect_error(net::use_awaitable, error));
      if (error) break;
      stream->on_message(std::string_view(static_cast<const char*>(buffer.data().data()), buffer.size()));
      buffer.consume(buffer.size());
      wake();
    }
    *reading = false;
    wake();
  }

  struct StreamCount {
    explicit StreamCount(Shared& s) : shared(s) { ++shared.stream_count; }
    ~StreamCount() { --shared.stream_count; }
    StreamCount(const StreamCount&) = delete;
    StreamCount& operator=(const StreamCount&) = delete;
    Shared& shared;
  };

  std::shared_ptr<Shared> shared_;
  Socket& socket_;
  std::string peer_;
  Shared::Connection& connection_;
  beast::flat_buffer buffer_;
  bool first_ = true;
  bool answered_early_ = false;
};

/// Serve one accepted connection to its end.
net::awaitable<void> serve_plain(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer);
net::awaitable<void> serve_tls(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer);

/// Keeps a connection in the list of all while it lives.
class Registration {
 public:
  Registration(Shared& shared, beast::tcp_stream& stream, const std::string& peer) : shared_(shared) {
    at_ =
        shared_.connections.insert(shared_.connections.end(), {&stream, peer, true, std::chrono::steady_clock::now()});
    ++shared_.connection_count;
  }
  ~Registration() {
    shared_.connections.erase(at_);
    --shared_.connection_count;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  [[nodiscard]] Shared::Connection& connection() { return *at_; }

 private:
  Shared& shared_;
  std::list<Shared::Connection>::iterator at_;
};

}  // namespace gantry::server
