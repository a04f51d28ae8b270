#include <algorithm>
#include <array>

#include "gantry/scheduler/sim/policies.hpp"
#include "scheduler/sim/baselines/baseline.hpp"

namespace gantry::scheduler::sim {

namespace {

class Triton final : public BaselinePolicy {
 public:
  explicit Triton(const TritonOptions& options) : BaselinePolicy("triton"), options_(options) {}

  void on_arrival(const Arrival& arrival, TimePoint) override {
    levels_[static_cast<std::size_t>(arrival.priority)][arrival.shape].push_back(arrival);
  }

 private:
  std::optional<ShapeId> form(DeviceId id, TimePoint now) override {
    // One batcher a model (here a shape), each with its own instance on the device; the one whose oldest request came
    // first gets the device.
    std::optional<ShapeId> chosen;
    TimePoint chosen_oldest = kNever;
    std::size_t chosen_size = 0;
    for (std::size_t s = 0; s < shapes(); ++s) {
      const auto shape = static_cast<ShapeId>(s);
      reject_timed_out(shape, now);
      if (!device(id).runs(shape)) continue;
      std::size_t waiting = 0;
      TimePoint oldest = kNever;
      for (ShapeQueues& level : levels_) {
        waiting += level[shape].size();
        if (!level[shape].empty()) oldest = std::min(oldest, level[shape].front().captured_at);
      }
      const std::size_t size = ready(waiting, oldest, device(id).max_batch, now);
      if (size == 0 || oldest >= chosen_oldest) continue;
      chosen = shape;
      chosen_oldest = oldest;
      chosen_size = size;
    }
    if (chosen) take(*chosen, chosen_size);
    return chosen;
  }

  /// How many of the waiting requests go out now.
  std::size_t ready(std::size_t waiting, TimePoint oldest, int max_batch, TimePoint now) {
    if (waiting == 0) return 0;
    const auto most = static_cast<std::size_t>(max_batch);
    if (waiting >= most) return most;
    std::size_t preferred = 0;
    for (const int size : options_.preferred) {
      if (static_cast<std::size_t>(size) <= waiting) preferred = std::max(preferred, static_cast<std::size_t>(size));
    }
    if (preferred > 0) return preferred;
    if (now >= oldest + options_.max_queue_delay || closed()) return waiting;
    wait_until(oldest + options_.max_queue_delay);
    return 0;
  }

  void take(ShapeId shape, std::size_t size) {
    for (ShapeQueues& level : levels_) {
      std::deque<Arrival>& queue = level[shape];
      for (; !queue.empty() && batch_.size() < size; queue.pop_front()) batch_.push_back(queue.front());
    }
  }

  /// Looks from the head, as far as the requests have timed out.
  void reject_timed_out(ShapeId shape, TimePoint now) {
    for (ShapeQueues& level : levels_) {
      std::deque<Arrival>& queue = level[shape];
      for (; !queue.empty() && timed_out(queue.front(), now); queue.pop_front()) {
        drop(queue.front().frame, Outcome::kExpired);
      }
    }
  }

  [[nodiscard]] bool timed_out(const Arrival& arrival, TimePoint now) const {
    const Duration allowed = arrival.deadline - arrival.captured_at;
    return static_cast<double>((now - arrival.captured_at).count()) >=
           options_.timeout_share * static_cast<double>(allowed.count());
  }

  [[nodiscard]] std::size_t shapes() const {
    std::size_t most = 0;
    for (const ShapeQueues& level : levels_) most = std::max(most, level.size());
    return most;
  }

  void forget(CameraId camera) override {
    for (ShapeQueues& level : levels_) {
      level.forget(camera, [this](FrameTicket frame) { drop(frame, Outcome::kCameraRemoved); });
    }
  }

  TritonOptions options_;
  std::array<ShapeQueues, kPriorityCount> levels_;
};

}  // namespace

std::unique_ptr<Policy> make_triton(const TritonOptions& options) {
  return std::make_unique<Triton>(options);
}

}  // namespace gantry::scheduler::sim
