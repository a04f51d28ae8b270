#include <algorithm>

#include "gantry/scheduler/sim/policies.hpp"
#include "scheduler/sim/baselines/baseline.hpp"

namespace gantry::scheduler::sim {

namespace {

class FixedTimeout final : public BaselinePolicy {
 public:
  explicit FixedTimeout(const FixedTimeoutOptions& options) : BaselinePolicy("fixed_timeout"), options_(options) {}

  void on_arrival(const Arrival& arrival, TimePoint) override { queues_[arrival.shape].push_back(arrival); }

 private:
  std::optional<ShapeId> form(DeviceId id, TimePoint now) override {
    std::optional<ShapeId> oldest;
    const auto most = static_cast<std::size_t>(device(id).max_batch);
    for (std::size_t s = 0; s < queues_.size(); ++s) {
      const auto shape = static_cast<ShapeId>(s);
      std::deque<Arrival>& queue = queues_[shape];
      while (!queue.empty() && queue.front().deadline <= now) {
        drop(queue.front().frame, Outcome::kExpired);
        queue.pop_front();
      }
      if (queue.empty() || !device(id).runs(shape)) continue;
      const TimePoint due = queue.front().captured_at + options_.delay;
      if (queue.size() < most && now < due && !closed()) {
        wait_until(due);
      } else if (!oldest || queue.front().captured_at < queues_[*oldest].front().captured_at) {
        oldest = shape;
      }
    }
    if (!oldest) return oldest;
    std::deque<Arrival>& queue = queues_[*oldest];
    while (!queue.empty() && batch_.size() < most) {
      batch_.push_back(queue.front());
      queue.pop_front();
    }
    return oldest;
  }

  void forget(CameraId camera) override {
    queues_.forget(camera, [this](FrameTicket frame) { drop(frame, Outcome::kCameraRemoved); });
  }

  FixedTimeoutOptions options_;
  ShapeQueues queues_;
};

}  // namespace

std::unique_ptr<Policy> make_fixed_timeout(const FixedTimeoutOptions& options) {
  return std::make_unique<FixedTimeout>(options);
}

}  // namespace gantry::scheduler::sim
