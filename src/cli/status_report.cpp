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

double seconds_between(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}
double tenth(double value) {
  return std::round(value * 10) / 10;
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
    reading.lines.push_back(camera.id + ": " + media::to_string(camera.state) + ", " + fixed(rate.in, 1) +
                            " frames/s in, " + fixed(rate.out, 1) + " out, " + books_text(camera.frames) +
                            "; latency p50 " + fixed(latency.quantile(0.5) * 1e3, 0) + " ms, p99 " +
                            fixed(latency.quantile(0.99) * 1e3, 0) + " ms");
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
                       {"latency_ms", latency_json(latency)}});
  }
  const auto totals = system.totals();
  const auto rate = rates("", totals, now);  // no camera has this id
  if (reading.lines.size() != 1)
    reading.lines.push_back("all cameras: " + fixed(rate.in, 1) + " frames/s in, " + fixed(rate.out, 1) + " out, " +
                            books_text(totals));
  reading.json = {{"seconds", std::round(seconds_between(started_, now) * 1e3) / 1e3},
                  {"cameras", std::move(cameras)},
                  {"total", counts_json(totals)}};
  last_ = now;
  return reading;
}

}  // namespace gantry::cli
