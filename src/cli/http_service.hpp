#pragma once
#include <string>

#include "cli/reloader.hpp"
#include "gantry/app/system.hpp"
#include "gantry/server/api.hpp"
#include "gantry/server/http_server.hpp"
#include "gantry/server/tokens.hpp"

namespace gantry::cli {

/// The HTTP server of `gantry serve`, from its keys in the configuration. Made when the System is, listens at once,
/// says that it is ready after running().
class HttpService {
 public:
  /// Makes a first admin token where there is no token yet, and prints it on standard error.
  /// @param reloader of the configuration file; null where there is none
  /// @throws StartupError
  HttpService(const config::ServerConfig& config, app::System& system, server::CameraState& state, const Clock& clock,
              const app::LogFn& log, Reloader* reloader = nullptr);
  ~HttpService();
  HttpService(const HttpService&) = delete;
  HttpService& operator=(const HttpService&) = delete;

  void running() noexcept { api_.set_phase(server::Phase::kRunning); }
  /// "http://127.0.0.1:8080"
  [[nodiscard]] std::string url() const;
  /// Load balancers may look elsewhere from here on; looks are still answered.
  void stopping() noexcept { api_.set_phase(server::Phase::kStopping); }

 private:
  const std::string host_;
  server::TokenStore tokens_;
  server::Api api_;
  server::HttpServer server_;
};

}  // namespace gantry::cli
