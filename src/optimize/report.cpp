#include <nlohmann/json.hpp>

#include "gantry/optimize/optimize.hpp"

namespace gantry {

const char* to_string(Precision precision) noexcept {
  switch (precision) {
    case Precision::kFp16:
      return "fp16";
  }
  return "?";
}

std::string to_json(const OptimizeReport& report) {
  const auto milliseconds = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
  nlohmann::json profiles = nlohmann::json::array();
  for (const OptimizedProfile& p : report.profiles)
    profiles.push_back({{"width", p.shape.width},
                        {"height", p.shape.height},
                        {"batch", p.batch},
                        {"network_ms", p.network_ms},
                        {"images_per_second", p.images_per_second},
                        {"floor_ms", p.floor_ms},
                        {"latency_mean_ms", milliseconds(p.latency_mean)},
                        {"latency_p99_ms", milliseconds(p.latency_p99)},
                        {"bytes", p.bytes},
                        {"flops", p.flops},
                        {"arena_bytes", p.arena_bytes},
                        {"unshared_bytes", p.unshared_bytes},
                        {"kernels", p.kernels}});
  const nlohmann::json all{{"model", report.model},
                           {"plan_file", report.plan_file},
                           {"device", report.device},
                           {"driver_version", report.driver_version},
                           {"precision", to_string(report.precision)},
                           {"seconds", report.seconds},
                           {"profiles", std::move(profiles)}};
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gantry
