#pragma once
// The inside of Api, shared by api.cpp (health, looks, streams, sessions, page) and api_cameras.cpp (changes).
#include <atomic>

#include "gantry/server/api.hpp"
#include "server/inference.hpp"
#include "server/observer.hpp"
#include "server/source_probe.hpp"
#include "server/worker.hpp"

namespace gantry::server {

class Api::Impl {
 public:
  Impl(app::System& system, CameraState& state, TokenStore& tokens, const Clock& clock, ApiOptions options);
  ~Impl() { prober_.cancel(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void add_routes(Router& router);
  void set_phase(Phase phase) noexcept { phase_ = phase; }
  void watch(const HttpServer* server) noexcept { server_ = server; }

 private:
  // -- api.cpp
  void add_health(Router& router);
  void add_sessions(Router& router);
  void add_looks(Router& router);
  void add_page(Router& router);
  [[nodiscard]] Response ready() const;
  /// Empty where the server is ready.
  [[nodiscard]] std::vector<std::string> not_ready_because() const;
  [[nodiscard]] Response metrics() const;
  [[nodiscard]] Response system_view() const;
  [[nodiscard]] Response load_view() const;
  [[nodiscard]] Response events(const Request& request);
  [[nodiscard]] HttpServerStats http_stats() const;
  [[nodiscard]] std::optional<ConfigReading> config_reading() const;
  /// All configured cameras, or one, with a reading of each.
  [[nodiscard]] Response list_cameras() const;
  template <typename Show>
  [[nodiscard]] Response show_camera(const std::string& id, int status, Show show) const;

  // -- api_inference.cpp
  void add_inference(Router& router);
  // -- api_probe.cpp: on probes_
  void add_probe(Router& router);
  [[nodiscard]] Response probe(const Request& request);

  // -- api_cameras.cpp: on changes_
  void add_changes(Router& router);
  /// A handler that runs `act` on the worker.
  [[nodiscard]] Handler later(Response (Impl::*act)(const Request&));
  Response put(const Request& request);
  Response patch(const Request& request);
  Response remove(const Request& request);
  Response boost(const Request& request);
  Response drain(const Request& request);
  Response reload(const Request& request);
  Response take_over(const Request& request, const config::CameraConfig* before, config::CameraConfig next,
                     const std::string& body, bool whole);
  void audit(const Request& request, const std::string& what) const;
  /// After a change: the camera as it is now.
  [[nodiscard]] Response camera(const std::string& id, int status) const;

  app::System& system_;
  CameraState& state_;
  TokenStore& tokens_;
  const Clock& clock_;
  const ApiOptions options_;
  const media::SourceGate gate_;
  const TimePoint started_at_;
  const std::chrono::system_clock::time_point started_wall_ = std::chrono::system_clock::now();
  std::atomic<Phase> phase_{Phase::kStarting};
  std::atomic<const HttpServer*> server_{nullptr};
  SystemObserver observer_;
  Inference inference_;
  SourceProbe prober_;
  Worker probes_{4};  // last: their tasks use all of the above
  Worker changes_{64};
};

}  // namespace gantry::server
