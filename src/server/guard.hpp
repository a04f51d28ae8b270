#pragma once
// Decides who may call a route: rate limits, credentials, role, origin. Used by the server's thread only.
#include <chrono>
#include <optional>
#include <string>
#include <unordered_map>

#include "gantry/server/http.hpp"
#include "gantry/server/http_server.hpp"

namespace gantry::server {

class Guard {
 public:
  using Now = std::chrono::steady_clock::time_point;
  Guard(const HttpServerOptions& options, TokenStore& tokens);

  /// Fills request.principal, or says why not. `websocket`: the request asks for an upgrade.
  [[nodiscard]] std::optional<Response> refuse(Request& request, const Route& route, bool websocket, Now now);
  /// Whether one more request of that client is within its rate.
  [[nodiscard]] bool within_rate(const std::string& peer, Now now);

 private:
  struct Client {
    double requests = 0;  ///< what is left of the bucket
    double failures = 0;
    Now seen{};
  };
  Client& client(const std::string& peer, Now now);
  [[nodiscard]] std::optional<Response> identify(Request& request, Client& client);

  const HttpServerOptions& options_;
  TokenStore& tokens_;
  std::unordered_map<std::string, Client> clients_;
};

/// The value of one cookie of a Cookie header; empty where it is not there.
[[nodiscard]] std::string_view cookie_value(std::string_view header, std::string_view name) noexcept;
inline constexpr std::string_view kSessionCookie = "gantry_session";

}  // namespace gantry::server
