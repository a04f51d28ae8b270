#pragma once
// Learns how long a batch takes: t(device, shape, batch), as a mean and as a high quantile. Pure numbers, not
// thread-safe, no allocation in observe() and the predictions.
//
//   mean(d, s, b) = table(d, s, b) · correction(d, s, knot of b) · slowdown(d)
//
// - table: the measured profile, linear between its points and on beyond the last; made to never fall with b.
// - correction: per knot (the profile's batch sizes), moves 5 % of the residual a batch, the residual clamped to
//   ±25 %, so that one outlier moves it by at most 1.25 %.
// - slowdown: the median of the device's last 5 ratios to table · correction, when that lies more than 20 % from the
//   present value. A device that becomes k × slower is believed after 3 batches, a single outlier never is.
// - high quantile: the 99th percentile of actual / mean by stochastic approximation (Robbins and Monro 1951), per
//   (d, s); starts from the profile's p99.
// - spread: mean absolute deviation of actual / mean, times 1.2533 (a normal distribution's σ).
#include <array>
#include <span>
#include <vector>

#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

class LatencyModel {
 public:
  /// Replaces what was known of (device, shape). @pre points not empty, ascending in batch, means > 0.
  void set_profile(DeviceId device, ShapeId shape, int max_batch, std::span<const LatencyPoint> points);
  [[nodiscard]] bool knows(DeviceId device, ShapeId shape) const noexcept;
  /// 0 where (device, shape) is unknown.
  [[nodiscard]] int max_batch(DeviceId device, ShapeId shape) const noexcept;

  /// Expected latency in ns. @pre knows(device, shape), 1 <= batch <= max_batch
  [[nodiscard]] double mean_ns(DeviceId device, ShapeId shape, int batch) const noexcept;
  /// As the profile has it, whatever was learned since.
  [[nodiscard]] double profiled_ns(DeviceId device, ShapeId shape, int batch) const noexcept {
    return curve(device, shape).profile_ns[batch];
  }
  /// 99th percentile in ns.
  [[nodiscard]] double high_ns(DeviceId device, ShapeId shape, int batch) const noexcept;
  /// mean · (1 + sigmas · spread), never above high_ns.
  [[nodiscard]] double likely_ns(DeviceId device, ShapeId shape, int batch, double sigmas) const noexcept;
  /// Largest batch whose time, scaled by `factor` (1: mean), is at most `limit_ns`; 0 where not even one frame fits.
  [[nodiscard]] int largest_batch(DeviceId device, ShapeId shape, double limit_ns, double factor) const noexcept;
  /// Ratio of high_ns to mean_ns.
  [[nodiscard]] double high_factor(DeviceId device, ShapeId shape) const noexcept;
  [[nodiscard]] double likely_factor(DeviceId device, ShapeId shape, double sigmas) const noexcept;

  /// The batch size up to `limit` with the most frames a second.
  [[nodiscard]] int best_batch(DeviceId device, ShapeId shape, int limit) const noexcept;

  /// A batch of `batch` took `actual_ns`.
  void observe(DeviceId device, ShapeId shape, int batch, double actual_ns) noexcept;
  /// Takes the device for as fast as profiled again, until it shows otherwise.
  void forget_slowdown(DeviceId device) noexcept;
  /// 1: as profiled.
  [[nodiscard]] double slowdown(DeviceId device) const noexcept;

 private:
  struct Curve {
    int max_batch = 0;               // 0: unknown
    std::vector<double> table_ns;    // [1…max_batch], corrected
    std::vector<double> profile_ns;  // [1…max_batch], as measured
    std::vector<int> knot_batch;     // ascending
    std::vector<double> knot_correction;
    double high = 1.05;
    double spread = 0.01;
  };
  struct Device {
    double slowdown = 1;
    std::array<double, 5> ratios{};  // latest observations over table · correction, a ring
    int seen = 0;
    std::vector<Curve> curves;  // by shape
  };

  [[nodiscard]] const Curve& curve(DeviceId device, ShapeId shape) const noexcept {
    return devices_[device].curves[shape];
  }
  static void rebuild(Curve& curve, std::size_t knot) noexcept;

  std::vector<Device> devices_;
};

}  // namespace gantry::scheduler
