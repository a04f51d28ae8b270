#pragma once
// What a card does over a stretch of time, sampled through NVIDIA's management library.
#include <cstdint>
#include <memory>

namespace gantry::app {

/// Means over the samples; zeros where nothing could be read.
struct GpuUse {
  int samples = 0;
  double compute_percent = 0;  ///< of the time in which any kernel ran
  double decoder_percent = 0;  ///< of the video decoders
  double watts = 0;
  std::uint64_t memory_bytes = 0;  ///< most in use on the whole card
  std::uint64_t memory_now = 0;    ///< in the last sample
};

/// Thread-safe. Without a driver it measures nothing and says so by `samples`.
class GpuMeter {
 public:
  explicit GpuMeter(int device);
  ~GpuMeter();
  GpuMeter(const GpuMeter&) = delete;
  GpuMeter& operator=(const GpuMeter&) = delete;
  /// Bytes in use on the whole card, a fifth of a second old at most; 0: not known.
  [[nodiscard]] std::uint64_t memory_now() const;
  /// Since the last call, or the start.
  [[nodiscard]] GpuUse take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
