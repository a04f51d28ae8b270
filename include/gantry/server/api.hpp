#pragma once
// The routes of a running server: cameras come and go, people look, machines scrape. docs/http-api.md and
// web/openapi.json say what each answers. Thread-safe.
//
// Threads: handlers run on the HttpServer's thread and answer at once from readings; changes run on one thread of the
// Api's own, in order, JPEGs are made on another; a third looks once a second for changes of state.
// Lifetime: made after the System and before the HttpServer, gone after the HttpServer has stopped.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/media/source_gate.hpp"
#include "gantry/server/camera_state.hpp"
#include "gantry/server/http_server.hpp"
#include "gantry/server/router.hpp"
#include "gantry/server/tokens.hpp"

namespace gantry::server {

/// How the configuration file was read last.
struct ConfigReading {
  std::string file;
  bool good = true;
  std::string reason;  ///< why it was refused, with file and line
  std::chrono::system_clock::time_point at{};
  std::uint64_t taken = 0;    ///< reloads since start
  std::uint64_t refused = 0;  ///< reloads since start
};

struct ApiOptions {
  std::string version = "0";
  std::vector<std::string> allow_sources;  ///< prefixes of sources that clients may use whatever they are
  media::SourceGate::Resolve resolve;      ///< instead of the system's name look-up; for tests
  bool tls = false;                        ///< cookies are marked Secure
  app::LogFn log;                          ///< audit log of changes; may be empty
  /// Reads the configuration file again; empty where there is none. Thread-safe, may block.
  std::function<Result<config::Changes>()> reload;
  std::function<ConfigReading()> config_reading;  ///< empty where there is no configuration file
};

enum class Phase { kStarting, kRunning, kStopping };

class Api {
 public:
  /// All but the options outlive the Api.
  Api(app::System& system, CameraState& state, TokenStore& tokens, const Clock& clock, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  void add_routes(Router& router);
  /// Decides what /health/startup and /health/ready say; kStarting at first.
  void set_phase(Phase phase) noexcept;
  /// Numbers of the server for /metrics and /api/v1/system; nullptr before it goes.
  void watch(const HttpServer* server) noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::server
