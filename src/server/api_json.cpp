#include "server/api_json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "gantry/media/url.hpp"
#include "server/scrape.hpp"

namespace gantry::server {
namespace {

using Json = nlohmann::json;

std::string text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}
long long ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}
double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

Json frames_of(const FrameCounts& counts) {
  Json dropped = Json::object();
  for (int i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (is_drop(outcome)) dropped[to_string(outcome)] = counts[outcome];
  }
  return {{"received", counts.received},       {"in_flight", counts.in_flight},
          {"published", counts.published()},   {"published_late", counts[Outcome::kPublishedLate]},
          {"dropped_total", counts.dropped()}, {"dropped", std::move(dropped)}};
}

Json quantiles(const scheduler::Histogram& seconds) {
  return {{"count", seconds.count()},
          {"mean", rounded(seconds.mean() * 1e3)},
          {"p50", rounded(seconds.quantile(0.5) * 1e3)},
          {"p99", rounded(seconds.quantile(0.99) * 1e3)}};
}

Json status_of(const CameraView& camera, TimePoint now) {
  if (camera.status == nullptr) return {{"state", "disabled"}};
  const auto& s = *camera.status;
  Json out = {{"state", media::to_string(s.state)},
              {"reason", s.reason},
              {"in_state_ms", ms(now - s.since)},
              {"retry_in_ms", ms(s.retry_in)},
              {"width", s.stream.width},
              {"height", s.stream.height},
              {"decoder", decoder_name(s.stream)},
              {"decoder_reason", media::to_string(s.stream.decoded_there)},
              {"device", s.home.empty() ? Json{} : Json(s.home)},
              {"reconnects", std::max<std::uint64_t>(s.stream.connections, 1) - 1},
              {"in_per_second", rounded(camera.rates.in)},
              {"out_per_second", rounded(camera.rates.out)},
              {"last_frame_age_ms", nullptr},
              {"picture", nullptr},
              {"frames", frames_of(s.frames)}};
  if (s.picture)
    out["picture"] = {{"brightness", rounded(s.picture->brightness)},
                      {"contrast", rounded(s.picture->contrast)},
                      {"sharpness", rounded(s.picture->sharpness)},
                      {"covered", s.picture->covered},
                      {"frozen", s.picture->frozen}};
  if (camera.last_frame_age >= 0) out["last_frame_age_ms"] = std::round(camera.last_frame_age * 1e3);
  return out;
}

Json camera_of(const CameraView& camera, TimePoint now) {
  const auto& c = camera.config;
  return {{"id", camera.id},
          {"source", media::redact_url(c.source)},
          {"enabled", c.enabled},
          {"fps", c.fps},
          {"priority", to_string(c.priority)},
          {"deadline_ms", ms(c.deadline)},
          {"classes", c.classes},
          {"conf", c.confidence},
          {"iou", c.iou},
          {"max_det", c.max_detections},
          {"agnostic", c.agnostic},
          {"transport", c.transport == config::Transport::kTcp ? "tcp" : "udp"},
          {"loop", c.loop},
          {"connect_timeout_ms", ms(c.connect_timeout)},
          {"read_timeout_ms", ms(c.read_timeout)},
          {"backoff_min_ms", ms(c.backoff_min)},
          {"backoff_max_ms", ms(c.backoff_max)},
          {"picture_check_ms", ms(c.picture_check)},
          {"status", status_of(camera, now)}};
}

Json devices_of(const app::System& system, const scheduler::DispatcherMetrics& metrics,
                const scheduler::PolicyReport& report, const SystemView& view) {
  Json devices = Json::array();
  for (std::size_t i = 0; i < metrics.devices.size(); ++i) {
    const auto& device = metrics.devices[i];
    Json one = {{"id", device.name},
                {"batches", device.batches},
                {"frames", device.frames},
                {"errors", device.errors},
                {"timeouts", device.timeouts},
                {"busy_seconds", rounded(device.busy_seconds)},
                {"mean_batch", rounded(device.batch_size->mean())},
                {"model", system.model().name}};
    const auto used = view.device_utilization.find(device.name);
    one["utilization_percent"] = used == view.device_utilization.end() ? 0 : rounded(used->second);
    if (const auto gpu = view.gpus.find(device.name); gpu != view.gpus.end())
      one["memory"] = {{"used_bytes", gpu->second.memory_used_bytes}, {"total_bytes", gpu->second.memory_total_bytes}};
    for (const auto& policy : report.devices) {
      if (policy.id != i) continue;
      one["state"] = scheduler::to_string(policy.state);
      one["breaker"] = policy.breaker;
      one["breaker_reason"] = policy.breaker_reason;
      one["slowdown"] = rounded(policy.slowdown);
      one["load"] = rounded(policy.load);
      one["cameras"] = policy.cameras;
      one["waiting"] = policy.waiting;
      one["running"] = policy.running;
    }
    devices.push_back(std::move(one));
  }
  return devices;
}

Json pools_of(const app::System& system) {
  Json pools = Json::array();
  for (const auto& pool : system.pools())
    for (const auto& size : pool.classes)
      pools.push_back({{"pool", pool.name},
                       {"block_bytes", size.block_bytes},
                       {"blocks", size.blocks},
                       {"in_use", size.in_use},
                       {"high_water", size.high_water},
                       {"exhausted", size.exhausted}});
  return pools;
}

Json config_of(const std::optional<ConfigReading>& reading) {
  if (!reading) return nullptr;
  return {
      {"file", reading->file},
      {"good", reading->good},
      {"reason", reading->reason},
      {"age_seconds", rounded(std::chrono::duration<double>(std::chrono::system_clock::now() - reading->at).count())},
      {"reloads", reading->taken},
      {"refused", reading->refused}};
}

}  // namespace

std::string camera_json(const CameraView& camera, TimePoint now) {
  return text(camera_of(camera, now));
}

std::string cameras_json(const std::vector<CameraView>& cameras, TimePoint now) {
  Json list = Json::array();
  for (const auto& camera : cameras) list.push_back(camera_of(camera, now));
  return text({{"cameras", std::move(list)}});
}

std::string stats_json(const CameraView& camera, TimePoint now) {
  Json out = status_of(camera, now);
  out["id"] = camera.id;
  if (camera.status != nullptr) {
    const auto& stream = camera.status->stream;
    const auto& latency = *camera.status->latency;
    out["connections"] = stream.connections;
    out["attempts"] = stream.attempts;
    out["bytes"] = stream.bytes;
    out["concealed"] = stream.concealed;
    out["latency_ms"] = {{"queue", quantiles(latency.queue)},
                         {"preprocess", quantiles(latency.preprocess)},
                         {"inference", quantiles(latency.inference)},
                         {"postprocess", quantiles(latency.postprocess)},
                         {"total", quantiles(latency.total)}};
  }
  return text(out);
}

std::string system_json(const app::System& system, const SystemView& view) {
  const auto metrics = system.scheduler_metrics();
  const auto report = system.scheduler_report();
  const auto cameras = system.cameras();
  Json states = Json::object();
  for (const auto& camera : cameras) {
    Json& count = states[media::to_string(camera.state)];
    count = count.is_null() ? 1 : count.get<int>() + 1;
  }
  Json classes = Json::array();
  for (const Priority priority : kAllPriorities) {
    const auto& one = metrics.classes[static_cast<std::size_t>(priority)];
    classes.push_back({{"priority", to_string(priority)},
                       {"frames", frames_of(one.frames)},
                       {"queue_wait_ms", quantiles(*one.queue_wait)},
                       {"latency_ms", quantiles(*one.latency)}});
  }
  const auto process = process_use();
  return text({{"version", view.version},
               {"phase", view.phase},
               {"uptime_seconds", rounded(view.uptime)},
               {"model",
                {{"name", system.model().name},
                 {"precision", system.model().precision},
                 {"classes", system.model().class_names}}},
               {"cameras", {{"running", cameras.size()}, {"states", std::move(states)}}},
               {"frames", frames_of(system.totals())},
               {"pictures", frames_of(system.pictures())},
               {"devices", devices_of(system, metrics, report, view)},
               {"pools", pools_of(system)},
               {"config", config_of(view.config)},
               {"priorities", std::move(classes)},
               {"load",
                {{"demand_fps", rounded(report.demand_now_fps)},
                 {"demand_5min_fps", rounded(report.demand_5min_fps)},
                 {"capacity_fps", rounded(report.capacity_fps)},
                 {"headroom", rounded(report.headroom)},
                 {"demand_peak_fps", report.demand_peak_fps < 0 ? Json{} : Json(rounded(report.demand_peak_fps))},
                 {"demand_peak_at", report.demand_peak_fps < 0 ? Json{} : Json(app::time_of_day(report.peak_at))},
                 {"early_shed", rounded(report.early_shed)},
                 {"degrade_step", report.degrade_step},
                 {"degrade_reason", report.degrade_reason},
                 {"batch_efficiency", rounded(batch_efficiency(system, metrics))}}},
               {"process", {{"resident_bytes", process.resident_bytes}, {"descriptors", process.descriptors}}},
               {"http",
                {{"connections", view.http.connections},
                 {"streams", view.http.streams},
                 {"requests", view.http.requests},
                 {"refused_connections", view.http.refused_connections},
                 {"refused_requests", view.http.refused_requests},
                 {"events_missed", view.events_missed},
                 {"events_bytes", view.events_bytes}}}});
}

std::string load_json(const LoadHistory& load, TimePoint now, const std::function<double(Duration)>& day_fps) {
  Json arrived = Json::array();
  Json predicted = Json::array();
  Json day = Json::array();
  const auto from_now = [now](TimePoint at) { return std::round(std::chrono::duration<double>(at - now).count()); };
  for (const auto& sample : load.samples()) {
    arrived.push_back({from_now(sample.at), rounded(sample.arrived_fps)});
    predicted.push_back({from_now(sample.at + LoadHistory::kAhead), rounded(sample.predicted_fps)});
  }
  constexpr std::chrono::minutes kQuarter{15};
  for (Duration ahead{}; ahead < std::chrono::hours{24}; ahead += kQuarter)
    if (const double fps = day_fps(ahead); fps >= 0)
      day.push_back({std::chrono::duration_cast<std::chrono::seconds>(ahead).count(), rounded(fps)});
  return text(
      {{"step_seconds", std::chrono::duration_cast<std::chrono::seconds>(LoadHistory::kStep).count()},
       {"arrived_fps", std::move(arrived)},
       {"predicted_fps", std::move(predicted)},
       {"capacity_fps", load.samples().empty() ? Json(nullptr) : Json(rounded(load.samples().back().capacity_fps))},
       {"day_fps", std::move(day)}});
}

}  // namespace gantry::server
