#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace gantry::app {

struct GpuReading {
  double utilization_percent = 0;  ///< share of the driver's last sample period (up to a second) with a kernel running
  std::uint64_t memory_used_bytes = 0;
  std::uint64_t memory_total_bytes = 0;
};

/// What NVIDIA's management library (NVML) says of the GPUs that run batches. Keeps the library open. Thread-safe.
class GpuGauge {
 public:
  /// Never fails: without a driver there are no readings.
  GpuGauge();
  ~GpuGauge();
  GpuGauge(const GpuGauge&) = delete;
  GpuGauge& operator=(const GpuGauge&) = delete;

  /// @param device as back ends name it: "cuda:0" is the first GPU that CUDA_VISIBLE_DEVICES lets through. CUDA numbers
  /// unlike GPUs by speed and NVML by slot: machines that mix models set CUDA_DEVICE_ORDER=PCI_BUS_ID.
  /// @return nothing for other devices, and where the driver does not answer
  [[nodiscard]] std::optional<GpuReading> read(const std::string& device) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
