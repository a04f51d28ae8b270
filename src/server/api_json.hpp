#pragma once
// What the API says of cameras, devices and the whole, as JSON text.
#include <map>
#include <string>

#include "gantry/app/system.hpp"
#include "gantry/server/http_server.hpp"

namespace gantry::server {

/// Frames a second over the last second or so.
struct Rates {
  double in = 0;
  double out = 0;
};
/// One configured camera; `status` is null where it is not enabled.
struct CameraView {
  std::string id;
  config::CameraConfig config;
  const app::CameraStatus* status = nullptr;
  Rates rates;
  double last_frame_age = -1;  ///< seconds; negative: none yet
};

/// The camera's keys as in the configuration file, and "status". The source is masked.
[[nodiscard]] std::string camera_json(const CameraView& camera, TimePoint now);
[[nodiscard]] std::string cameras_json(const std::vector<CameraView>& cameras, TimePoint now);
/// "status" with latencies and counters.
[[nodiscard]] std::string stats_json(const CameraView& camera, TimePoint now);

struct SystemView {
  std::string version;
  std::string phase;
  double uptime = 0;  ///< seconds
  std::map<std::string, double> device_utilization;
  HttpServerStats http;
  std::uint64_t events_missed = 0;
};
[[nodiscard]] std::string system_json(const app::System& system, const SystemView& view);

}  // namespace gantry::server
