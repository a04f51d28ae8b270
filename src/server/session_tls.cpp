#include <boost/asio/ssl.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "server/session.hpp"

namespace gantry::server {

net::awaitable<void> serve_tls(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer) {
  beast::ssl_stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), *shared->tls);
  Registration registration(*shared, beast::get_lowest_layer(stream), peer);
  error_code error;
  beast::get_lowest_layer(stream).expires_after(shared->options.header_timeout);
  co_await stream.async_handshake(net::ssl::stream_base::server, net::redirect_error(net::use_awaitable, error));
  if (error) co_return;
  Session<beast::ssl_stream<beast::tcp_stream>> session(shared, stream, std::move(peer), registration.connection());
  co_await session.run();
  if (!beast::get_lowest_layer(stream).socket().is_open()) co_return;
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds{2});
  co_await stream.async_shutdown(net::redirect_error(net::use_awaitable, error));
  // A peer that is still sending is an error to the shutdown, which has said its goodbye by then.
  if (session.answered_early()) co_await linger(beast::get_lowest_layer(stream));
}

}  // namespace gantry::server
