#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "gantry/app/gpu_gauge.hpp"
#include "gantry/app/stage_histograms.hpp"
#include "gantry/app/system.hpp"
#include "gantry/server/api.hpp"
#include "gantry/server/http_server.hpp"

namespace gantry::server {

/// What a scrape needs beside the System.
struct ScrapeContext {
  std::string version;
  const app::StageHistograms* stages = nullptr;      ///< of all results since start; not null
  std::map<std::string, TimePoint> last_captured;    ///< newest published frame a camera
  std::map<std::string, double> device_utilization;  ///< percent, by device
  std::map<std::string, app::GpuReading> gpus;       ///< by device
  std::optional<ConfigReading> config;
  HttpServerStats http;
  std::uint64_t events_missed = 0;
  std::chrono::system_clock::time_point started_at;
  TimePoint now;
};
/// The text that Prometheus reads, from the state of this moment.
[[nodiscard]] std::string scrape(const app::System& system, const ScrapeContext& context);

struct ProcessUse {
  std::uint64_t resident_bytes = 0;
  std::uint64_t descriptors = 0;
};
[[nodiscard]] ProcessUse process_use();
/// Frames of all batches over what those batches could have held, 0…1.
[[nodiscard]] double batch_efficiency(const app::System& system, const scheduler::DispatcherMetrics& metrics);

}  // namespace gantry::server
