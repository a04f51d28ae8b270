#include "server/session.hpp"

namespace gantry::server {

net::awaitable<void> serve_plain(std::shared_ptr<Shared> shared, net::ip::tcp::socket socket, std::string peer) {
  beast::tcp_stream stream(std::move(socket));
  Registration registration(*shared, stream, peer);
  Session<beast::tcp_stream> session(shared, stream, std::move(peer), registration.connection());
  co_await session.run();
  error_code ignored;
  stream.socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
}

}  // namespace gantry::server
