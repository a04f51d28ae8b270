#include "cli/status_report.hpp"

#include <cmath>

#include "cli/summary.hpp"

namespace gantry::cli {
namespace {

std::string books_text(const FrameCounts& counts) {
  std::string text = "received " + std::to_string(counts.received) + " = " + std::to_string(counts.published()) +
                     " published (" + std::to_string(counts[Outcome::kPublishedLate]) + " late) + " +
                     std::to_string(counts.dropped()) + " dropped";
  if (counts.dropped() > 0) text += " (" + drops_text(counts) + ")";
  return text + " + " + std::to_string(counts.in_flight) + " in flight";
}

std::string load_text(const scheduler::PolicyReport& report) {
  std::string text = "load: " + fixed(report.demand_now_fps, 1) + " frames/s expected, " +
                     fixed(report.demand_5min_fps, 1) + " in five minutes, " + fixed(report.capacity_fps, 1) +
                     " possible";
  if (report.demand_peak_fps >= 0)
    text += "; most of the day " + fixed(report.demand_peak_fps, 1) + " at " + app::time_of_day(report.peak_at);
  if (report.degrade_step > 0)
    text += "; degrade step " + std::to_string(report.degrade_step) + " (" + std::string(report.degrade_reason) + ")";
  if (report.early_shed > 0) text += "; " + fixed(report.early_shed * 100, 0) + " % of the background is shed early";
  return text;
}

double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}
double tenth(double value) {
  return std::round(value * 10) / 10;
}

nlohmann::json load_json(const scheduler::PolicyReport& report, const scheduler::DispatcherMetrics& metrics) {
  auto devices = nlohmann::json::array();
  for (const auto& device : report.devices)
    devices.push_back({{"id", metrics.devices[device.id].name},
                       {"state", scheduler::to_string(device.state)},
                       {"breaker", device.breaker},
                       {"breaker_reason", device.breaker_reason},
                       {"load", tenth(device.load * 100) / 100}});
  return {{"demand_fps", tenth(report.demand_now_fps)},
          {"demand_5min_fps", tenth(report.demand_5min_fps)},
          {"demand_peak_fps",
           report.demand_peak_fps < 0 ? nlohmann::json{} : nlohmann::json(tenth(report.demand_peak_fps))},
          {"demand_peak_at",
           report.demand_peak_fps < 0 ? nlohmann::json{} : nlohmann::json(app::time_of_day(report.peak_at))},
          {"capacity_fps", tenth(report.capacity_fps)},
          {"early_shed", tenth(report.early_shed * 100) / 100},
          {"degrade_step", report.degrade_step},
          {"degrade_reason", report.degrade_reason},
          {"devices", std::move(devices)}};
}

nlohmann::json picture_json(const std::optional<vision::Quality>& picture) {
  if (!picture) return nullptr;
  const auto thousandth = [](float value) { return std::round(static_cast<double>(value) * 1e3) / 1e3; };
  return {{"brightness", thousandth(picture->brightness)},
          {"contrast", thousandth(picture->contrast)},
          {"sharpness", thousandth(picture->sharpness)},
          {"covered", picture->covered},
          {"frozen", picture->frozen}};
}

const char* picture_text(const std::optional<vision::Quality>& picture) {
  if (picture && picture->covered) return ", picture covered";
  if (picture && picture->frozen) return ", picture frozen";
  return "";
}

}  // namespace

StatusReport::Rates StatusReport::rates(const std::string& id, const FrameCounts& counts, TimePoint now) {
  auto& before = before_[id];
  const double seconds = seconds_between(last_, now);
  Rates rates;
  // Books that start again (a camera that was removed and added) have no rate yet.
  if (seconds > 0 && counts.received >= before.received && counts.published() >= before.published()) {
    rates.in = static_cast<double>(counts.received - before.received) / seconds;
    rates.out = static_cast<double>(counts.published() - before.published()) / seconds;
  }
  before = counts;
  return rates;
}

StatusReport::Reading StatusReport::read(const app::System& system, TimePoint now) {
  Reading reading;
  auto cameras = nlohmann::json::array();
  for (const auto& camera : system.cameras()) {
    const auto rate = rates(camera.id, camera.frames, now);
    const auto& latency = camera.latency->total;
    reading.lines.push_back(camera.id + ": " + media::to_string(camera.state) + picture_text(camera.picture) + ", " +
                            fixed(rate.in, 1) + " frames/s in, " + fixed(rate.out, 1) + " out, " +
                            books_text(camera.frames) + "; latency p50 " + fixed(latency.quantile(0.5) * 1e3, 0) +
                            " ms, p99 " + fixed(latency.quantile(0.99) * 1e3, 0) + " ms");
    cameras.push_back({{"id", camera.id},
                       {"state", media::to_string(camera.state)},
                       {"reason", camera.reason},
                       {"frames", counts_json(camera.frames)},
                       {"in_per_second", tenth(rate.in)},
                       {"out_per_second", tenth(rate.out)},
                       {"connections", camera.stream.connections},
                       {"attempts", camera.stream.attempts},
                       {"width", camera.stream.width},
                       {"height", camera.stream.height},
                       {"picture", picture_json(camera.picture)},
                       {"latency_ms", latency_json(latency)}});
  }
  const auto totals = system.totals();
  const auto rate = rates("", totals, now);  // no camera has this id
  if (reading.lines.size() != 1)
    reading.lines.push_back("all cameras: " + fixed(rate.in, 1) + " frames/s in, " + fixed(rate.out, 1) + " out, " +
                            books_text(totals));
  const auto load = system.scheduler_report();
  reading.lines.push_back(load_text(load));
  reading.json = {{"seconds", std::round(seconds_between(started_, now) * 1e3) / 1e3},
                  {"cameras", std::move(cameras)},
                  {"load", load_json(load, system.scheduler_metrics())},
                  {"total", counts_json(totals)}};
  last_ = now;
  return reading;
}

}  // namespace gantry::cli
