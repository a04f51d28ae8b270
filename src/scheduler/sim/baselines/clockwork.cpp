#include <algorithm>
#include <array>

#include "gantry/scheduler/sim/policies.hpp"
#include "scheduler/sim/baselines/baseline.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr std::array<int, 6> kBatchSizes{1, 2, 4, 8, 16, 32};
constexpr std::size_t kMeasured = 10;  ///< the prediction is the slowest of the last ten

class Clockwork final : public BaselinePolicy {
 public:
  Clockwork() : BaselinePolicy("clockwork") {}

  void on_arrival(const Arrival& arrival, TimePoint) override {
    if (arrival.shape >= queues_.size()) queues_.resize(arrival.shape + 1U);
    std::deque<Arrival>& queue = queues_[arrival.shape];
    const auto place = std::upper_bound(queue.begin(), queue.end(), arrival.deadline,
                                        [](TimePoint deadline, const Arrival& a) { return deadline < a.deadline; });
    queue.insert(place, arrival);
  }

 private:
  struct Measured {
    std::array<Duration, kMeasured> last{};
    std::size_t count = 0;
  };
  struct Strategy {
    ShapeId shape = 0;
    std::size_t first = 0;  ///< place in the queue of the request that it stands for
    int size = 0;
    TimePoint start_by = kNever;
  };

  std::optional<ShapeId> form(DeviceId id, TimePoint now) override {
    Strategy chosen;
    for (std::size_t s = 0; s < queues_.size(); ++s) {
      const auto shape = static_cast<ShapeId>(s);
      std::deque<Arrival>& queue = queues_[s];
      for (; !queue.empty() && now + quickest(shape) > queue.front().deadline; queue.pop_front()) {
        drop(queue.front().frame, Outcome::kPredictedLate);
      }
      if (!device(id).runs(shape)) continue;
      for (const int size : kBatchSizes) {
        if (size > device(id).max_batch) break;
        const Strategy strategy = soonest(id, shape, size, now);
        if (strategy.start_by < chosen.start_by) chosen = strategy;
      }
    }
    if (chosen.size == 0) return std::nullopt;
    std::deque<Arrival>& queue = queues_[chosen.shape];
    const auto begin = queue.begin() + static_cast<std::ptrdiff_t>(chosen.first);
    batch_.assign(begin, begin + chosen.size);
    queue.erase(begin, begin + chosen.size);
    return chosen.shape;
  }

  /// Of the strategies of one size, the one that must start soonest and still can.
  [[nodiscard]] Strategy soonest(DeviceId id, ShapeId shape, int size, TimePoint now) const {
    const std::deque<Arrival>& queue = queues_[shape];
    const Duration takes = predict(id, shape, size);
    const auto first = std::lower_bound(queue.begin(), queue.end(), now + takes,
                                        [](const Arrival& a, TimePoint finish) { return a.deadline < finish; });
    if (queue.end() - first < size) return {};
    return {shape, static_cast<std::size_t>(first - queue.begin()), size, first->deadline - takes};
  }

  /// The least that any device that is up needs for one frame: below it, a request is beyond saving.
  [[nodiscard]] Duration quickest(ShapeId shape) const {
    Duration least = Duration::max() / 2;
    for (std::size_t d = 0; d < device_count(); ++d) {
      const auto id = static_cast<DeviceId>(d);
      if (device(id).up && device(id).runs(shape)) least = std::min(least, predict(id, shape, 1));
    }
    return least;
  }

  [[nodiscard]] Duration predict(DeviceId id, ShapeId shape, int size) const {
    const std::size_t key = key_of(id, shape, size);
    if (key >= measured_.size() || measured_[key].count == 0) return device(id).times[shape][size];
    const Measured& measured = measured_[key];
    const std::size_t filled = std::min(measured.count, kMeasured);
    return *std::max_element(measured.last.begin(), measured.last.begin() + static_cast<std::ptrdiff_t>(filled));
  }

  void observe(DeviceId id, ShapeId shape, int size, Duration taken) override {
    const std::size_t key = key_of(id, shape, size);
    if (key >= measured_.size()) measured_.resize(key + 1);
    Measured& measured = measured_[key];
    measured.last[measured.count++ % kMeasured] = taken;
  }

  [[nodiscard]] static std::size_t key_of(DeviceId id, ShapeId shape, int size) {
    const auto place = std::find(kBatchSizes.begin(), kBatchSizes.end(), size) - kBatchSizes.begin();
    return (static_cast<std::size_t>(id) * kMaxShapes + shape) * kBatchSizes.size() + static_cast<std::size_t>(place);
  }

  void forget(CameraId camera) override {
    for (std::deque<Arrival>& queue : queues_) {
      std::erase_if(queue, [&](const Arrival& arrival) {
        if (arrival.camera == camera) drop(arrival.frame, Outcome::kCameraRemoved);
        return arrival.camera == camera;
      });
    }
  }

  std::vector<std::deque<Arrival>> queues_;  ///< by shape, the earliest deadline first
  std::vector<Measured> measured_;
};

}  // namespace

std::unique_ptr<Policy> make_clockwork() {
  return std::make_unique<Clockwork>();
}

}  // namespace gantry::scheduler::sim
