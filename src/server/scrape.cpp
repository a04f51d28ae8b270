#include "server/scrape.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "gantry/metrics/exposition.hpp"
#include "server/api_json.hpp"

namespace gantry::server {
namespace {

using metrics::Exposition;
using metrics::Metric;
using Labels = std::initializer_list<std::string_view>;

double number(std::uint64_t value) {
  return static_cast<double>(value);
}

/// Several histograms as one.
void add_histogram(Exposition& out, Metric metric, Labels labels,
                   const std::vector<const scheduler::Histogram*>& parts) {
  // The count is read last, so that no bucket exceeds it while results come in.
  std::vector<std::uint64_t> up_to;
  for (const double bound : metrics::spec(metric).bounds) {
    std::uint64_t sum = 0;
    for (const auto* part : parts) sum += part->count_up_to(bound);
    up_to.push_back(sum);
  }
  double sum = 0;
  std::uint64_t count = 0;
  for (const auto* part : parts) {
    sum += part->sum();
    count += part->count();
  }
  out.set_histogram(metric, labels, up_to, count, sum);
}

void add_cameras(Exposition& out, const app::System& system, const ScrapeContext& context) {
  using media::CameraState;
  const auto cameras = system.cameras();
  out.set(Metric::kCamerasConfigured, {}, number(cameras.size()));
  for (const auto& camera : cameras) {
    out.set(Metric::kFramesReceived, {camera.id}, number(camera.frames.received));
    out.set(Metric::kFramesInFlight, {camera.id}, number(camera.frames.in_flight));
    for (int i = 0; i < kOutcomeCount; ++i) {
      const auto outcome = static_cast<Outcome>(i);
      out.set(Metric::kFrames, {camera.id, to_string(outcome)}, number(camera.frames[outcome]));
    }
    for (int i = 0; i <= static_cast<int>(CameraState::kRemoved); ++i) {
      const auto state = static_cast<CameraState>(i);
      out.set(Metric::kCameraState, {camera.id, media::to_string(state)}, camera.state == state ? 1 : 0);
    }
    if (const auto last = context.last_captured.find(camera.id); last != context.last_captured.end())
      out.set(Metric::kCameraLastFrameAge, {camera.id},
              std::chrono::duration<double>(context.now - last->second).count());
    out.set(Metric::kCameraConnections, {camera.id}, number(camera.stream.connections));
    out.set(Metric::kCameraAttempts, {camera.id}, number(camera.stream.attempts));
    out.set(Metric::kCameraReconnects, {camera.id}, number(std::max<std::uint64_t>(camera.stream.connections, 1) - 1));
    out.set(Metric::kDecoder, {camera.id, decoder_name(camera.stream), media::to_string(camera.stream.decoded_there)},
            1);
    out.set(Metric::kCameraBytes, {camera.id}, number(camera.stream.bytes));
    out.set(Metric::kCameraConcealed, {camera.id}, number(camera.stream.concealed));
  }
}

void add_pictures(Exposition& out, const FrameCounts& pictures) {
  out.set(Metric::kPicturesReceived, {}, number(pictures.received));
  for (int i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    out.set(Metric::kPictures, {to_string(outcome)}, number(pictures[outcome]));
  }
  out.set(Metric::kPicturesInFlight, {}, number(pictures.in_flight));
}

void add_scheduling(Exposition& out, const scheduler::DispatcherMetrics& dispatcher, const ScrapeContext& context) {
  std::vector<const scheduler::Histogram*> all_latencies;
  for (const Priority priority : kAllPriorities) {
    const auto& one = dispatcher.classes[static_cast<std::size_t>(priority)];
    const std::string_view name = to_string(priority);
    all_latencies.push_back(one.latency);
    add_histogram(out, Metric::kQueueWait, {name}, {one.queue_wait});
    add_histogram(out, Metric::kFrameLatency, {name}, {one.latency});
    add_histogram(out, Metric::kDispatchSlack, {name}, {one.slack_at_dispatch});
    const auto& f = one.frames;
    out.set(Metric::kDeadlineMisses, {name},
            number(f[Outcome::kPublishedLate] + f[Outcome::kExpired] + f[Outcome::kPredictedLate] + f[Outcome::kShed]));
    out.set(Metric::kLateWaste, {name}, one.late_waste_seconds);
  }
  add_histogram(out, Metric::kInferenceLatency, {}, all_latencies);
  const auto& stages = *context.stages;
  add_histogram(out, Metric::kStageLatency, {"queue"}, {&stages.queue});
  add_histogram(out, Metric::kStageLatency, {"preprocess"}, {&stages.preprocess});
  add_histogram(out, Metric::kStageLatency, {"inference"}, {&stages.inference});
  add_histogram(out, Metric::kStageLatency, {"postprocess"}, {&stages.postprocess});
  add_histogram(out, Metric::kStageLatency, {"total"}, {&stages.total});
  add_histogram(out, Metric::kDecisionLatency, {}, {dispatcher.decision_seconds});
  out.set(Metric::kDecisions, {}, number(dispatcher.decisions));
}

void add_devices(Exposition& out, const scheduler::DispatcherMetrics& dispatcher, const scheduler::PolicyReport& report,
                 const ScrapeContext& context) {
  for (const auto& device : dispatcher.devices) {
    out.set(Metric::kDeviceBatches, {device.name}, number(device.batches));
    out.set(Metric::kDeviceErrors, {device.name}, number(device.errors));
    out.set(Metric::kDeviceTimeouts, {device.name}, number(device.timeouts));
    out.set(Metric::kDeviceBusy, {device.name}, device.busy_seconds);
    add_histogram(out, Metric::kBatchSize, {device.name}, {device.batch_size});
    add_histogram(out, Metric::kPredictionError, {device.name}, {device.prediction_error});
    const auto used = context.device_utilization.find(device.name);
    out.set(Metric::kGpuUtilization, {device.name}, used == context.device_utilization.end() ? 0 : used->second);
    if (const auto gpu = context.gpus.find(device.name); gpu != context.gpus.end()) {
      out.set(Metric::kDeviceMemoryUsed, {device.name}, number(gpu->second.memory_used_bytes));
      out.set(Metric::kDeviceMemoryTotal, {device.name}, number(gpu->second.memory_total_bytes));
    }
  }
  for (const auto& device : report.devices) {
    if (device.id >= dispatcher.devices.size()) continue;
    const std::string& name = dispatcher.devices[device.id].name;
    for (const auto state :
         {scheduler::DeviceState::kUp, scheduler::DeviceState::kDraining, scheduler::DeviceState::kDown})
      out.set(Metric::kDeviceState, {name, scheduler::to_string(state)}, device.state == state ? 1 : 0);
    for (const std::string_view state : {"closed", "half_open", "open"})
      out.set(Metric::kDeviceBreaker, {name, state}, device.breaker == state ? 1 : 0);
    for (const std::string_view reason : {"errors", "timeouts", "deadline_misses", "memory"})
      out.set(Metric::kDeviceBreakerReason, {name, reason},
              device.breaker != "closed" && device.breaker_reason == reason ? 1 : 0);
    out.set(Metric::kDeviceSlowdown, {name}, device.slowdown);
    out.set(Metric::kDeviceLoad, {name}, device.load);
  }
  out.set(Metric::kDemand, {"1s"}, report.demand_now_fps);
  out.set(Metric::kDemand, {"5m"}, report.demand_5min_fps);
  if (report.demand_peak_fps >= 0) out.set(Metric::kDemand, {"day_peak"}, report.demand_peak_fps);
  out.set(Metric::kEarlyShed, {}, report.early_shed);
  out.set(Metric::kCapacity, {}, report.capacity_fps);
  out.set(Metric::kHeadroom, {}, report.headroom);
  out.set(Metric::kDegradeStep, {}, report.degrade_step);
}

void add_decoders(Exposition& out, const app::System& system) {
  for (const auto& [place, device, nvdec, budget] : system.decoders()) {
    const auto pictures = [&, name = device](std::string_view what, std::uint64_t count) {
      out.set(Metric::kDecoderPictures, {name, what}, number(count));
    };
    out.set(Metric::kDecoderSessions, {device}, nvdec.sessions);
    out.set(Metric::kDecoderCameras, {device, "shared"}, nvdec.cameras_shared);
    out.set(Metric::kDecoderCameras, {device, "alone"}, nvdec.cameras_alone);
    out.set(Metric::kDecoderLoad, {device}, nvdec.load);
    for (int i = 0; i < media::kDecodeReasonCount; ++i)
      out.set(Metric::kDecoderChoices, {device, media::to_string(static_cast<media::DecodeReason>(i))},
              number(nvdec.choices[static_cast<std::size_t>(i)]));
    pictures("decoded", nvdec.decoded);
    pictures("mapped", nvdec.mapped);
    pictures("refused", nvdec.refused);
    pictures("concealed", nvdec.concealed);
    pictures("map_failed", nvdec.map_failed);
    pictures("given_up", nvdec.given_up);
    pictures("no_output", nvdec.no_output);
    pictures("unlisted", nvdec.unlisted);
    pictures("verified", nvdec.verified);
    pictures("mismatched", nvdec.mismatched);
    out.set(Metric::kDecoderRefused, {device}, number(nvdec.sessions_refused));
    out.set(Metric::kDecoderCalls, {device, "decode"}, nvdec.decode_call_seconds);
    out.set(Metric::kDecoderCalls, {device, "map"}, nvdec.map_call_seconds);
    out.set(Metric::kBudget, {device, "limit"}, number(budget.limit_bytes));
    out.set(Metric::kBudget, {device, "reserved"}, number(budget.reserved_bytes));
    out.set(Metric::kBudget, {device, "high_water"}, number(budget.high_water_bytes));
    out.set(Metric::kBudgetRefused, {device}, number(budget.refused));
  }
}

void add_pools(Exposition& out, const app::System& system) {
  for (const auto& pool : system.pools())
    for (const auto& size : pool.classes) {
      const std::string bytes = std::to_string(size.block_bytes);
      const Labels labels{pool.name, bytes};
      out.set(Metric::kPoolBytes, labels, static_cast<double>(size.block_bytes));
      out.set(Metric::kPoolBlocks, labels, static_cast<double>(size.blocks));
      out.set(Metric::kPoolInUse, labels, static_cast<double>(size.in_use));
      out.set(Metric::kPoolHighWater, labels, static_cast<double>(size.high_water));
      out.set(Metric::kPoolExhausted, labels, number(size.exhausted));
    }
}

void add_config(Exposition& out, const ConfigReading& reading) {
  out.set(Metric::kConfigReloads, {"taken"}, number(reading.taken));
  out.set(Metric::kConfigReloads, {"refused"}, number(reading.refused));
  out.set(Metric::kConfigGood, {}, reading.good ? 1 : 0);
  out.set(Metric::kConfigAt, {}, std::chrono::duration<double>(reading.at.time_since_epoch()).count());
}

}  // namespace

ProcessUse process_use() {
  ProcessUse use;
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (statm >> total >> resident) use.resident_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::error_code error;
  for (std::filesystem::directory_iterator it{"/proc/self/fd", error}, end; !error && it != end; it.increment(error))
    ++use.descriptors;
  return use;
}

double batch_efficiency(const app::System& system, const scheduler::DispatcherMetrics& metrics) {
  const int most = std::max(1, std::min(system.config().engine.max_batch, system.model().max_batch));
  std::uint64_t frames = 0;
  std::uint64_t batches = 0;
  for (const auto& device : metrics.devices) {
    frames += device.frames;
    batches += device.batches;
  }
  return batches == 0 ? 0 : number(frames) / (number(batches) * most);
}

std::string scrape(const app::System& system, const ScrapeContext& context) {
  Exposition out;
  const auto dispatcher = system.scheduler_metrics();
  add_cameras(out, system, context);
  add_pictures(out, system.pictures());
  add_scheduling(out, dispatcher, context);
  add_devices(out, dispatcher, system.scheduler_report(), context);
  out.set(Metric::kBatchEfficiency, {}, batch_efficiency(system, dispatcher));
  add_decoders(out, system);
  add_pools(out, system);
  if (context.config) add_config(out, *context.config);
  const auto process = process_use();
  out.set(Metric::kResidentBytes, {}, number(process.resident_bytes));
  out.set(Metric::kOpenDescriptors, {}, number(process.descriptors));
  out.set(Metric::kStartTime, {}, std::chrono::duration<double>(context.started_at.time_since_epoch()).count());
  out.set(Metric::kBuildInfo, {context.version, system.model().name}, 1);
  out.set(Metric::kHttpRequests, {}, number(context.http.requests));
  out.set(Metric::kHttpRefused, {"connections"}, number(context.http.refused_connections));
  out.set(Metric::kHttpRefused, {"requests"}, number(context.http.refused_requests));
  out.set(Metric::kHttpConnections, {}, context.http.connections);
  out.set(Metric::kHttpStreams, {}, context.http.streams);
  out.set(Metric::kEventsMissed, {}, number(context.events_missed));
  return out.text();
}

}  // namespace gantry::server
