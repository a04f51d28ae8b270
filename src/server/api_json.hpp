#pragma once
// What the API says of cameras, devices and the whole, as JSON text.
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gantry/app/gpu_gauge.hpp"
#include "gantry/app/system.hpp"
#include "gantry/server/api.hpp"
#include "gantry/server/http_server.hpp"
#include "server/load_history.hpp"

namespace gantry::server {

/// "nvdec" or "cpu".
[[nodiscard]] inline const char* decoder_name(const media::CameraCounters& stream) noexcept {
  return stream.decoded_on == media::DecodePlace::kGpu ? "nvdec" : "cpu";
}

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
  std::map<std::string, app::GpuReading> gpus;
  std::optional<ConfigReading> config;
  HttpServerStats http;
  std::uint64_t events_missed = 0;
  std::size_t events_bytes = 0;
};
[[nodiscard]] std::string system_json(const app::System& system, const SystemView& view);

/// Frames a second over time, in seconds from now: what arrived, what had been predicted, and what the time-of-day
/// profile expects of the next day, as far as it has learned. @param day_fps expected so long from now; negative:
/// unknown
[[nodiscard]] std::string load_json(const LoadHistory& load, TimePoint now,
                                    const std::function<double(Duration)>& day_fps);

}  // namespace gantry::server
