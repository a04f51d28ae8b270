#include "server/guard.hpp"

#include <algorithm>

namespace gantry::server {
namespace {

constexpr double kBurstSeconds = 2;
constexpr std::size_t kMaxClients = 65536;

Response unauthorized(std::string_view detail) {
  Response response = problem(401, "Unauthorized", detail);
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"gantry\"");
  return response;
}

bool changes_something(std::string_view method) {
  return method != "GET" && method != "HEAD";
}

/// "https://host:port" names the host this request came to?
bool same_origin(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  return scheme != std::string_view::npos && !host.empty() && origin.substr(scheme + 3) == host;
}

}  // namespace

std::string_view cookie_value(std::string_view header, std::string_view name) noexcept {
  while (!header.empty()) {
    const auto end = std::min(header.find(';'), header.size());
    std::string_view pair = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.starts_with(name) && pair.size() > name.size() && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
  }
  return {};
}

Guard::Guard(const HttpServerOptions& options, TokenStore& tokens) : options_(options), tokens_(tokens) {}

Guard::Client& Guard::client(const std::string& peer, Now now) {
  if (clients_.size() >= kMaxClients && !clients_.contains(peer))
    std::erase_if(clients_, [&](const auto& c) { return now - c.second.seen > std::chrono::minutes{2}; });
  if (clients_.size() >= kMaxClients && !clients_.contains(peer)) clients_.erase(clients_.begin());
  auto [found, fresh] = clients_.try_emplace(peer);
  Client& c = found->second;
  const double rate = options_.requests_per_second_per_peer;
  if (fresh) {
    c.requests = rate * kBurstSeconds;
  } else {
    const double seconds = std::chrono::duration<double>(now - c.seen).count();
    c.requests = std::min(rate * kBurstSeconds, c.requests + seconds * rate);
    c.failures = std::max(0.0, c.failures - seconds * options_.failures_per_minute_per_peer / 60);
  }
  c.seen = now;
  return c;
}

bool Guard::within_rate(const std::string& peer, Now now) {
  Client& c = client(peer, now);
  if (c.requests < 1) return false;
  c.requests -= 1;
  return true;
}

std::optional<Response> Guard::identify(Request& request, Client& client) {
  const std::string_view authorization = request.header("authorization");
  if (!authorization.empty()) {
    constexpr std::string_view kBearer = "Bearer ";
    const auto answer = authorization.starts_with(kBearer)
                            ? tokens_.authenticate(authorization.substr(kBearer.size()))
                            : TokenStore::Answer{std::nullopt, TokenStore::Refusal::kUnknown};
    if (!answer.principal) {
      client.failures += 1;
      return unauthorized(answer.refusal == TokenStore::Refusal::kExpired
                              ? "this token has expired; make a new one with `gantry token create`"
                              : "this token is not known here");
    }
    request.principal = *answer.principal;
    return std::nullopt;
  }
  const std::string_view cookie = cookie_value(request.header("cookie"), kSessionCookie);
  if (!cookie.empty())
    if (auto principal = tokens_.session(cookie)) request.principal = *principal;
  return std::nullopt;
}

std::optional<Response> Guard::refuse(Request& request, const Route& route, bool websocket, Now now) {
  Client& c = client(request.peer, now);
  if (route.role != Role::kNone && c.failures > options_.failures_per_minute_per_peer - 0.5)
    return problem(429, "Too Many Requests", "too many wrong credentials from this address; wait a minute");
  if (auto refused = identify(request, c)) {
    if (route.role == Role::kNone) return std::nullopt;
    return refused;
  }
  if (route.role == Role::kNone) return std::nullopt;
  if (request.principal.role == Role::kNone)
    return unauthorized("send `Authorization: Bearer TOKEN`; make a token with `gantry token create`");
  if (request.principal.role < route.role)
    return problem(403, "Forbidden",
                   std::string("this needs the role ") + to_string(route.role) + "; the token's is " +
                       to_string(request.principal.role));
  if (request.principal.by_cookie && (changes_something(request.method) || websocket)) {
    // A browser sends cookies along with what other sites make it do. Its own page's script can read neither the
    // cookie nor another site's CSRF header, and a browser never lies about Origin.
    const std::string_view origin = request.header("origin");
    if (!same_origin(origin, request.header("host")))
      return problem(403, "Forbidden", "the Origin of this request is not this server");
    if (!websocket && request.header("x-csrf-token") != request.principal.csrf)
      return problem(403, "Forbidden", "the X-CSRF-Token header is missing or wrong");
  }
  return std::nullopt;
}

}  // namespace gantry::server
