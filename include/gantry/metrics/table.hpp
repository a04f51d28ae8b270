#pragma once
// Every metric that Gantry exposes, in one table: name, type, labels, help. docs/metrics.md is made from it, and a
// metric that is not in it can't be exposed.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gantry::metrics {

enum class Type : std::uint8_t { kCounter, kGauge, kHistogram };

/// Index into table(); the order there is the order here.
enum class Metric : std::uint8_t {
  // The three that dashboards of YOLO11 servers look for, by their usual names.
  kInferenceLatency,
  kGpuUtilization,
  kBatchEfficiency,
  // Cameras
  kFramesReceived,
  kFrames,
  kFramesInFlight,
  kCameraState,
  kCameraLastFrameAge,
  kCameraConnections,
  kCameraAttempts,
  kCameraReconnects,
  kCameraBytes,
  kCameraConcealed,
  kDecoder,
  kCamerasConfigured,
  // Still pictures
  kPicturesReceived,
  kPictures,
  kPicturesInFlight,
  // Stages and scheduling
  kStageLatency,
  kQueueWait,
  kFrameLatency,
  kDispatchSlack,
  kDeadlineMisses,
  kLateWaste,
  kBatchSize,
  kDecisionLatency,
  kDecisions,
  // Devices
  kDeviceState,
  kDeviceBreaker,
  kDeviceBreakerReason,
  kDeviceBatches,
  kDeviceErrors,
  kDeviceTimeouts,
  kDeviceBusy,
  kDeviceSlowdown,
  kDeviceLoad,
  kDeviceMemoryUsed,
  kDeviceMemoryTotal,
  kPredictionError,
  // A card's video decoders, and what may be taken of its memory
  kDecoderSessions,
  kDecoderCameras,
  kDecoderLoad,
  kDecoderChoices,
  kDecoderPictures,
  kDecoderRefused,
  kDecoderCalls,
  kBudget,
  kBudgetRefused,
  // Load
  kDemand,
  kEarlyShed,
  kCapacity,
  kHeadroom,
  kDegradeStep,
  // Memory and process
  kPoolBytes,
  kPoolBlocks,
  kPoolInUse,
  kPoolHighWater,
  kPoolExhausted,
  kResidentBytes,
  kOpenDescriptors,
  kStartTime,
  kBuildInfo,
  // Configuration
  kConfigReloads,
  kConfigGood,
  kConfigAt,
  // HTTP
  kHttpRequests,
  kHttpRefused,
  kHttpConnections,
  kHttpStreams,
  kEventsMissed,
  kCount,
};
inline constexpr int kMetricCount = static_cast<int>(Metric::kCount);
inline constexpr std::size_t kMaxLabels = 3;

struct Spec {
  Metric metric{};
  std::string_view name;
  Type type = Type::kGauge;
  std::array<std::string_view, kMaxLabels> labels{};  ///< names; "" where there are fewer
  std::string_view help;                              ///< one sentence, with the unit
  std::span<const double> bounds{};                   ///< upper bounds of a histogram's buckets, without +Inf
};

[[nodiscard]] std::span<const Spec, kMetricCount> table() noexcept;
[[nodiscard]] const Spec& spec(Metric metric) noexcept;
/// "counter", "gauge", "histogram".
[[nodiscard]] const char* to_string(Type type) noexcept;
/// The text of docs/metrics.md.
[[nodiscard]] std::string reference_markdown();

}  // namespace gantry::metrics
