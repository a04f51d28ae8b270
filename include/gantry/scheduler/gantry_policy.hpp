#pragma once
// Gantry's own policy. How it decides, with the reasons and the bounds it keeps, is written in docs/scheduler.md.
// See policy.hpp for the contract (pure, deterministic, single caller, no allocation once warm).
#include <memory>

#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

struct PolicyConfig {
  /// Longest wait for a larger batch, 0…50 ms; the policy waits less wherever a deadline or the forecast says so.
  Duration max_wait = std::chrono::milliseconds{50};
  /// A camera that has had no frame started for this long has its next frames raised by one class (after twice as long
  /// by two), never above urgent. > 0.
  Duration ageing = std::chrono::seconds{1};
  /// How far back fair shedding remembers what a camera got, > 0.
  Duration fairness_memory = std::chrono::seconds{1};
  /// Standard deviations of latency kept as a margin when deciding whether an ordinary frame can still make it, >= 0.
  double margin_sigmas = 1.0;
};

class GantryPolicy final : public Policy {
 public:
  explicit GantryPolicy(const PolicyConfig& config = {});
  ~GantryPolicy() override;
  GantryPolicy(const GantryPolicy&) = delete;
  GantryPolicy& operator=(const GantryPolicy&) = delete;

  [[nodiscard]] std::string_view name() const noexcept override { return "gantry"; }
  void add_device(const DeviceSpec& spec, TimePoint now) override;
  void set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points, TimePoint now) override;
  void set_camera(const CameraSpec& spec, TimePoint now) override;
  void remove_camera(CameraId camera, TimePoint now) override;
  void on_arrival(const Arrival& arrival, TimePoint now) override;
  void on_completion(const Completion& completion, TimePoint now) override;
  void on_device_state(DeviceId device, DeviceState state, TimePoint now) override;
  void on_input_closed(TimePoint now) override;
  void boost(CameraId camera, Priority priority, TimePoint until, TimePoint now) override;
  void on_memory(DeviceId device, double used, TimePoint now) override;
  void on_wall_time(WallTime wall, TimePoint now) override;
  [[nodiscard]] Decision decide(TimePoint now) override;
  [[nodiscard]] DeviceId home_of(CameraId camera) const override;
  [[nodiscard]] double demand_at(WallTime wall) const override;
  [[nodiscard]] std::string save() const override;
  [[nodiscard]] Result<void> restore(std::string_view text) override;
  void report(PolicyReport& out, TimePoint now) const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::scheduler
