#pragma once
// What all baselines share: which devices are idle, what a batch takes on them, and the buffers of a decision.
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler::sim {

/// t(batch) of one shape on one device, from its profile; linear between the measured points.
class BatchTimes {
 public:
  void set(std::span<const LatencyPoint> points);
  [[nodiscard]] bool known() const noexcept { return !times_.empty(); }
  /// @pre 1 <= batch; the largest profiled batch stands for all beyond it
  [[nodiscard]] Duration operator[](int batch) const noexcept;

 private:
  std::vector<Duration> times_;  ///< by batch - 1
};

struct BaselineDevice {
  int max_batch = 1;
  int places = 0;  ///< batches that may run at the same time
  int running = 0;
  bool up = true;
  std::vector<BatchTimes> times;  ///< by shape
  [[nodiscard]] bool idle() const noexcept { return up && running < places; }
  [[nodiscard]] bool runs(ShapeId shape) const noexcept { return shape < times.size() && times[shape].known(); }
};

class BaselinePolicy : public Policy {
 public:
  explicit BaselinePolicy(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] std::string_view name() const noexcept final { return name_; }
  void add_device(const DeviceSpec& spec, TimePoint now) override;
  void set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points, TimePoint now) override;
  void set_camera(const CameraSpec& spec, TimePoint now) override;
  void remove_camera(CameraId camera, TimePoint now) override;
  void on_completion(const Completion& completion, TimePoint now) override;
  void on_device_state(DeviceId device, DeviceState state, TimePoint now) override;
  void on_input_closed(TimePoint now) override;
  [[nodiscard]] Decision decide(TimePoint now) final;

 protected:
  /// Forms the next batch for an idle device into batch_ and says of which shape it is; nothing where there is none.
  /// Drops through drop(); says through wait_until() when to ask again.
  [[nodiscard]] virtual std::optional<ShapeId> form(DeviceId device, TimePoint now) = 0;
  /// Takes out every waiting frame of `camera`, through drop().
  virtual void forget(CameraId camera) = 0;
  /// A batch of `shape` and `size` took `taken`; for those that learn.
  virtual void observe(DeviceId device, ShapeId shape, int size, Duration taken);

  void drop(FrameTicket frame, Outcome reason) { drops_.push_back({frame, reason}); }
  void wait_until(TimePoint at) { wait_until_ = std::min(wait_until_, at); }
  [[nodiscard]] const BaselineDevice& device(DeviceId id) const { return devices_[id]; }
  [[nodiscard]] std::size_t device_count() const noexcept { return devices_.size(); }
  [[nodiscard]] bool closed() const noexcept { return closed_; }

  std::vector<Arrival> batch_;

 private:
  struct Started {
    BatchId batch = 0;
    ShapeId shape = 0;
    int size = 0;
    TimePoint at{};
  };
  void order_by_speed();

  std::string name_;
  std::vector<BaselineDevice> devices_;
  std::vector<DeviceId> fastest_first_;
  std::vector<std::vector<Started>> started_;  ///< by device
  std::vector<Drop> pending_drops_;            ///< of calls between decisions
  std::vector<Drop> drops_;
  std::vector<FrameTicket> tickets_;
  TimePoint wait_until_ = kNever;
  BatchId next_batch_ = 1;
  bool closed_ = false;
};

/// First in, first out, a shape.
class ShapeQueues {
 public:
  [[nodiscard]] std::deque<Arrival>& operator[](ShapeId shape) {
    if (shape >= queues_.size()) queues_.resize(shape + 1U);
    return queues_[shape];
  }
  [[nodiscard]] std::size_t size() const noexcept { return queues_.size(); }
  /// Calls `gone` for each frame of `camera` and takes it out.
  template <typename Gone>
  void forget(CameraId camera, const Gone& gone) {
    for (std::deque<Arrival>& queue : queues_) {
      std::erase_if(queue, [&](const Arrival& arrival) {
        if (arrival.camera != camera) return false;
        gone(arrival.frame);
        return true;
      });
    }
  }

 private:
  std::vector<std::deque<Arrival>> queues_;
};

}  // namespace gantry::scheduler::sim
