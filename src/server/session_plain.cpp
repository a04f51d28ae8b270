#include "server/session.hpp"

#include <array>

namespace gantry::server {

net::awaitable<void> linger(beast::tcp_stream& stream) {
  constexpr std::chrono::seconds kSilence{2};
  constexpr std::chrono::seconds kLongest{5};
  error_code error;
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_send, error);
  const auto end = std::chrono::steady_clock::now() + kLongest;
  std::array<char, 16 * 1024> thrown_away{};
  while (!error && std::chrono::steady_clock::now() < end) {
    stream.expires_after(kSilence);
    co_await stream.async_read_some(net::buffer(thrown_away), net::redirect_error(net::use_awaitable, error));
  }
}

net::awaitable<void> serve_plain(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer) {
  beast::tcp_stream stream(std::move(socket));
  Registration registration(*shared, stream, peer);
  Session<beast::tcp_stream> session(shared, stream, std::move(peer), registration.connection());
  co_await session.run();
  if (session.answered_early()) co_await linger(stream);
  error_code ignored;
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
}

}  // namespace gantry::server
