#include "gantry/metrics/table.hpp"

#include <algorithm>

namespace gantry::metrics {
namespace {

constexpr std::array<double, 5> kGuideLatency{0.01, 0.025, 0.05, 0.1, 0.25};
constexpr std::array<double, 12> kLatency{0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1};
constexpr std::array<double, 8> kBatch{1, 2, 4, 8, 16, 32, 64, 128};
constexpr std::array<double, 8> kMicro{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3};
constexpr std::array<double, 7> kRatio{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1};

using enum Type;

constexpr std::array<Spec, kMetricCount> kTable{{
    {Metric::kInferenceLatency,
     "yolo11_inference_latency_seconds",
     kHistogram,
     {},
     "Time from capture to result of published frames, in seconds.",
     kGuideLatency},
    {Metric::kGpuUtilization,
     "gpu_utilization_percent",
     kGauge,
     {"device_id"},
     "How busy the device is, in percent: of a GPU what its driver says (NVML), of others the share of the last second "
     "spent on batches; device_id is its name, as in device."},
    {Metric::kBatchEfficiency,
     "batch_efficiency_ratio",
     kGauge,
     {},
     "Frames of all batches over what those batches could have held, 0 to 1, since start."},

    {Metric::kFramesReceived,
     "gantry_frames_received_total",
     kCounter,
     {"camera"},
     "Frames born: their last packet has arrived."},
    {Metric::kFrames,
     "gantry_frames_total",
     kCounter,
     {"camera", "outcome"},
     "Frames that have ended, by how: published, published_late, or the reason of the drop."},
    {Metric::kFramesInFlight,
     "gantry_frames_in_flight",
     kGauge,
     {"camera"},
     "Frames between birth and end; received = sum of frames_total + in_flight in every scrape."},
    {Metric::kCameraState,
     "gantry_camera_state",
     kGauge,
     {"camera", "state"},
     "1 for the state the camera is in, 0 for the others."},
    {Metric::kCameraLastFrameAge,
     "gantry_camera_last_frame_age_seconds",
     kGauge,
     {"camera"},
     "Time since the camera's newest frame arrived, in seconds; absent before the first."},
    {Metric::kCameraConnections,
     "gantry_camera_connections_total",
     kCounter,
     {"camera"},
     "Connections that brought a picture; more than one means reconnects."},
    {Metric::kCameraAttempts, "gantry_camera_connection_attempts_total", kCounter, {"camera"}, "Attempts to connect."},
    {Metric::kCameraReconnects,
     "gantry_camera_reconnects_total",
     kCounter,
     {"camera"},
     "Connections after the first that brought a picture, since the camera was set up."},
    {Metric::kCameraBytes, "gantry_camera_received_bytes_total", kCounter, {"camera"}, "Coded video read, in bytes."},
    {Metric::kCameraConcealed,
     "gantry_camera_concealed_frames_total",
     kCounter,
     {"camera"},
     "Frames that the decoder handed out with damage patched."},
    {Metric::kDecoder,
     "gantry_camera_decoder_info",
     kGauge,
     {"camera", "kind", "reason"},
     "1 for what decodes the camera's video: cpu or nvdec, and why there (only_place where no card was asked)."},
    {Metric::kCamerasConfigured, "gantry_cameras", kGauge, {}, "Cameras that are configured and enabled."},

    {Metric::kPicturesReceived,
     "gantry_pictures_received_total",
     kCounter,
     {},
     "Still pictures that clients gave to /v2 for inference."},
    {Metric::kPictures,
     "gantry_pictures_total",
     kCounter,
     {"outcome"},
     "Still pictures that have ended, by how, in the words of gantry_frames_total."},
    {Metric::kPicturesInFlight,
     "gantry_pictures_in_flight",
     kGauge,
     {},
     "Still pictures between arrival and end; received = sum of pictures_total + in_flight in every scrape."},

    {Metric::kStageLatency,
     "gantry_stage_latency_seconds",
     kHistogram,
     {"stage"},
     "Time of each stage of published frames, in seconds: queue, preprocess, inference, postprocess, total.",
     kLatency},
    {Metric::kQueueWait,
     "gantry_queue_wait_seconds",
     kHistogram,
     {"priority"},
     "Time from submit to start of frames that ran, in seconds.",
     kLatency},
    {Metric::kFrameLatency,
     "gantry_frame_latency_seconds",
     kHistogram,
     {"priority"},
     "Time from capture to result, in seconds.",
     kLatency},
    {Metric::kDispatchSlack,
     "gantry_dispatch_slack_seconds",
     kHistogram,
     {"priority"},
     "Time from start to deadline, in seconds.",
     kLatency},
    {Metric::kDeadlineMisses,
     "gantry_deadline_misses_total",
     kCounter,
     {"priority"},
     "Frames whose deadline passed before their result: late, expired, predicted_late and shed together."},
    {Metric::kLateWaste,
     "gantry_late_waste_seconds_total",
     kCounter,
     {"priority"},
     "Device time spent on results that came late, in seconds."},
    {Metric::kBatchSize, "gantry_batch_size_frames", kHistogram, {"device"}, "Frames a batch.", kBatch},
    {Metric::kDecisionLatency,
     "gantry_scheduler_decision_seconds",
     kHistogram,
     {},
     "Time of one scheduling decision, in seconds.",
     kMicro},
    {Metric::kDecisions, "gantry_scheduler_decisions_total", kCounter, {}, "Scheduling decisions taken."},

    {Metric::kDeviceState,
     "gantry_device_state",
     kGauge,
     {"device", "state"},
     "1 for the device's state: up, draining or down."},
    {Metric::kDeviceBreaker,
     "gantry_device_breaker_state",
     kGauge,
     {"device", "state"},
     "1 for the state of the device's breaker: closed, half_open or open."},
    {Metric::kDeviceBreakerReason,
     "gantry_device_breaker_reason",
     kGauge,
     {"device", "reason"},
     "1 for why the device's breaker is not closed: errors, timeouts, deadline_misses or memory."},
    {Metric::kDeviceBatches, "gantry_device_batches_total", kCounter, {"device"}, "Batches started."},
    {Metric::kDeviceErrors, "gantry_device_errors_total", kCounter, {"device"}, "Batches that failed."},
    {Metric::kDeviceTimeouts,
     "gantry_device_timeouts_total",
     kCounter,
     {"device"},
     "Batches given up by the watchdog."},
    {Metric::kDeviceBusy,
     "gantry_device_busy_seconds_total",
     kCounter,
     {"device"},
     "Time the device spent on batches, summed over batches, in seconds."},
    {Metric::kDeviceSlowdown,
     "gantry_device_slowdown_ratio",
     kGauge,
     {"device"},
     "Learned latency over the latency measured at load; 1 is as fast as at load."},
    {Metric::kDeviceLoad,
     "gantry_device_load_ratio",
     kGauge,
     {"device"},
     "Demand of the device's cameras over what it can do; 1 is full."},
    {Metric::kDeviceMemoryUsed,
     "gantry_device_memory_used_bytes",
     kGauge,
     {"device"},
     "Memory of the GPU in use by all programs, in bytes; absent for devices without memory of their own."},
    {Metric::kDeviceMemoryTotal,
     "gantry_device_memory_total_bytes",
     kGauge,
     {"device"},
     "Memory of the GPU, in bytes; absent for devices without memory of their own."},
    {Metric::kPredictionError,
     "gantry_latency_prediction_error_ratio",
     kHistogram,
     {"device"},
     "Difference of predicted and actual latency of a batch, over the predicted.",
     kRatio},
    {Metric::kDecoderSessions,
     "gantry_decoder_sessions",
     kGauge,
     {"device"},
     "Decoder sessions that are open on the card; several cameras may share one."},
    {Metric::kDecoderCameras,
     "gantry_decoder_cameras",
     kGauge,
     {"device", "seat"},
     "Cameras that the card decodes, by seat: shared with others in a session, or alone."},
    {Metric::kDecoderLoad,
     "gantry_decoder_load_ratio",
     kGauge,
     {"device"},
     "What the cameras say of size and rate over what the card's decoders do, 0 to 1."},
    {Metric::kDecoderChoices,
     "gantry_decoder_choices_total",
     kCounter,
     {"device", "reason"},
     "Choices between the card and the CPU for a stream, by reason (docs/gpu-data-path.md)."},
    {Metric::kDecoderPictures,
     "gantry_decoder_pictures_total",
     kCounter,
     {"device", "what"},
     "Pictures: decoded, mapped (fetched to be run), refused by the card, concealed, map_failed, given_up for a newer "
     "one, "
     "no_output (all output surfaces in use), unlisted (a foreign reference without a place), "
     "verified and mismatched (`serve --verify-decoding`: equal to a session of its own, and not)."},
    {Metric::kDecoderRefused,
     "gantry_decoder_sessions_refused_total",
     kCounter,
     {"device"},
     "Sessions that the driver did not give."},
    {Metric::kDecoderCalls,
     "gantry_decoder_call_seconds_total",
     kCounter,
     {"device", "call"},
     "Time in the driver's calls, all threads together, in seconds: decode passes a picture on, map waits for it."},
    {Metric::kBudget,
     "gantry_memory_budget_bytes",
     kGauge,
     {"device", "what"},
     "Memory of the card that decoders may take (limit), have taken (reserved) and had at most (high_water), in "
     "bytes."},
    {Metric::kBudgetRefused,
     "gantry_memory_budget_refused_total",
     kCounter,
     {"device"},
     "Reservations that did not fit into the budget."},

    {Metric::kDemand,
     "gantry_demand_frames_per_second",
     kGauge,
     {"horizon"},
     "Expected frames a second: in the next second (1s), in five minutes (5m) and in the busiest quarter of an hour of "
     "the coming day (day_peak, once it is known)."},
    {Metric::kEarlyShed,
     "gantry_early_shed_ratio",
     kGauge,
     {},
     "Share of background frames that are shed on arrival because the forecast has no room for them."},
    {Metric::kCapacity,
     "gantry_capacity_frames_per_second",
     kGauge,
     {},
     "What all devices that take work can do at their best batch, in frames a second."},
    {Metric::kHeadroom,
     "gantry_headroom_ratio",
     kGauge,
     {},
     "1 - expected demand in five minutes over capacity; negative means too much."},
    {Metric::kDegradeStep,
     "gantry_degrade_step",
     kGauge,
     {},
     "0 none, 1 background off, 2 normal cameras at a lower rate, 3 smaller batches, 4 the server's breaker is open."},

    {Metric::kPoolBytes,
     "gantry_pool_block_bytes",
     kGauge,
     {"pool", "class"},
     "Size of a block of the size class, in bytes; class is the same number."},
    {Metric::kPoolBlocks, "gantry_pool_blocks", kGauge, {"pool", "class"}, "Blocks of the size class, lent or free."},
    {Metric::kPoolInUse, "gantry_pool_blocks_in_use", kGauge, {"pool", "class"}, "Blocks on loan."},
    {Metric::kPoolHighWater,
     "gantry_pool_blocks_high_water",
     kGauge,
     {"pool", "class"},
     "Most blocks on loan at once since start."},
    {Metric::kPoolExhausted,
     "gantry_pool_exhausted_total",
     kCounter,
     {"pool", "class"},
     "Times a block was asked for and none was free."},
    {Metric::kResidentBytes, "process_resident_memory_bytes", kGauge, {}, "Resident memory of the process, in bytes."},
    {Metric::kOpenDescriptors, "process_open_fds", kGauge, {}, "Open file descriptors."},
    {Metric::kStartTime, "process_start_time_seconds", kGauge, {}, "When the process started, in seconds since 1970."},
    {Metric::kBuildInfo,
     "gantry_build_info",
     kGauge,
     {"version", "model"},
     "Always 1; says which version runs which model."},

    {Metric::kConfigReloads,
     "gantry_config_reloads_total",
     kCounter,
     {"outcome"},
     "Times the configuration file was read again since start, by outcome: taken or refused."},
    {Metric::kConfigGood,
     "gantry_config_last_reload_successful",
     kGauge,
     {},
     "0 where the file as it is now was refused and the server goes on with an older one, else 1."},
    {Metric::kConfigAt,
     "gantry_config_last_reload_timestamp_seconds",
     kGauge,
     {},
     "When the file was read last, in seconds since 1970."},

    {Metric::kHttpRequests, "gantry_http_requests_total", kCounter, {}, "HTTP requests read."},
    {Metric::kHttpRefused,
     "gantry_http_refused_total",
     kCounter,
     {"what"},
     "Connections and requests refused by limits, credentials or origin."},
    {Metric::kHttpConnections, "gantry_http_connections", kGauge, {}, "Open HTTP connections."},
    {Metric::kHttpStreams, "gantry_http_streams", kGauge, {}, "Open event streams, WebSockets and live pictures."},
    {Metric::kEventsMissed,
     "gantry_http_events_missed_total",
     kCounter,
     {},
     "Events that slow readers were told they had missed."},
}};

constexpr bool in_order() {
  for (int i = 0; i < kMetricCount; ++i)
    if (static_cast<int>(kTable[i].metric) != i) return false;
  return true;
}
static_assert(in_order(), "the table's rows stand in the order of enum Metric");

}  // namespace

std::span<const Spec, kMetricCount> table() noexcept {
  return kTable;
}
const Spec& spec(Metric metric) noexcept {
  return kTable[static_cast<std::size_t>(metric)];
}

const char* to_string(Type type) noexcept {
  switch (type) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      return "histogram";
  }
  return "untyped";
}

std::string reference_markdown() {
  std::string out =
      "# Metrics\n\n"
      "`GET /metrics` in the Prometheus text format. This page is made from the table in `src/metrics/table.cpp` by\n"
      "`gantry metrics`; a test holds the two together. Labels have few values: cameras, devices, and the "
      "words\n"
      "named here.\n\n"
      "| name | type | labels | what |\n| --- | --- | --- | --- |\n";
  for (const Spec& row : kTable) {
    out += "| `" + std::string(row.name) + "` | " + to_string(row.type) + " | ";
    for (std::size_t i = 0; i < row.labels.size() && !row.labels[i].empty(); ++i)
      out += (i > 0 ? ", `" : "`") + std::string(row.labels[i]) + "`";
    out += " | " + std::string(row.help) + " |\n";
  }
  return out;
}

}  // namespace gantry::metrics
