#include "cli/http_service.hpp"

#include <cstdio>

#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

server::HttpServerOptions options(const config::ServerConfig& config) {
  server::HttpServerOptions out;
  out.address = config.address;
  out.port = static_cast<std::uint16_t>(config.port);
  out.insecure = config.insecure;
  if (!config.tls.certificate.empty())
    out.tls = std::make_unique<server::TlsFiles>(server::TlsFiles{config.tls.certificate, config.tls.key});
  return out;
}

/// As it stands in a URL.
std::string host_of(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

server::ApiOptions api_options(const config::ServerConfig& config, const app::LogFn& log, Reloader* reloader) {
  server::ApiOptions out;
  out.version = GANTRY_VERSION;
  out.allow_sources = config.allow_sources;
  out.tls = !config.tls.certificate.empty();
  out.log = log;
  if (reloader != nullptr) {
    out.reload = [reloader] { return reloader->reload(); };
    out.config_reading = [reloader] { return reloader->reading(); };
  }
  return out;
}

server::Router routes(server::Api& api) {
  server::Router router;
  api.add_routes(router);
  return router;
}

void make_first_token(server::TokenStore& tokens, const std::string& file) {
  if (!tokens.empty()) return;
  const auto token = tokens.create("first-admin", server::Role::kAdmin, std::nullopt);
  if (!token) throw StartupError(token.error().message);
  // Past the log, which may be kept and shipped.
  std::fprintf(stderr, "First admin token, shown only now (its hash is in %s):\n%s\n", file.c_str(),
               token.value().c_str());
}

}  // namespace

HttpService::HttpService(const config::ServerConfig& config, app::System& system, server::CameraState& state,
                         const Clock& clock, const app::LogFn& log, Reloader* reloader)
    : host_(host_of(config.address)),
      tokens_(config.tokens),
      api_(system, state, tokens_, clock, api_options(config, log, reloader)),
      server_(options(config), routes(api_), tokens_) {
  make_first_token(tokens_, config.tokens);
  api_.watch(&server_);
  server_.start();
  log(app::Severity::kInfo, "listening on " + url());
}

std::string HttpService::url() const {
  return (server_.tls() ? "https://" : "http://") + host_ + ":" + std::to_string(server_.port());
}

HttpService::~HttpService() {
  server_.stop();
  api_.watch(nullptr);
}

}  // namespace gantry::cli
