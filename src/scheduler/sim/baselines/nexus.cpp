#include <algorithm>

#include "gantry/scheduler/sim/policies.hpp"
#include "scheduler/sim/baselines/baseline.hpp"

namespace gantry::scheduler::sim {

namespace {

class Nexus final : public BaselinePolicy {
 public:
  Nexus() : BaselinePolicy("nexus") {}

  void on_arrival(const Arrival& arrival, TimePoint) override { session_of(arrival).queue.push_back(arrival); }

 private:
  /// A model with one latency objective.
  struct Session {
    ShapeId shape = 0;
    Duration objective{};
    std::deque<Arrival> queue;
  };

  Session& session_of(const Arrival& arrival) {
    const Duration objective = arrival.deadline - arrival.captured_at;
    for (Session& session : sessions_) {
      if (session.shape == arrival.shape && session.objective == objective) return session;
    }
    return sessions_.emplace_back(Session{arrival.shape, objective, {}});
  }

  /// Sessions take turns on a device, each with one batch: the rounds of its duty cycle.
  std::optional<ShapeId> form(DeviceId id, TimePoint now) override {
    for (std::size_t turn = 0; turn < sessions_.size(); ++turn) {
      const std::size_t index = (next_ + turn) % sessions_.size();
      Session& session = sessions_[index];
      if (!device(id).runs(session.shape)) continue;
      const std::size_t size = slide(id, session, now);
      if (size == 0) continue;
      for (; batch_.size() < size; session.queue.pop_front()) batch_.push_back(session.queue.front());
      next_ = index + 1;
      return session.shape;
    }
    return std::nullopt;
  }

  /// Drops the head of the queue until the window that begins there can run inside the head's deadline.
  std::size_t slide(DeviceId id, Session& session, TimePoint now) {
    const BatchTimes& times = device(id).times[session.shape];
    const std::size_t target = target_batch(id, session);
    std::deque<Arrival>& queue = session.queue;
    while (!queue.empty()) {
      const std::size_t window = std::min(target, queue.size());
      if (now + times[static_cast<int>(window)] <= queue.front().deadline) return window;
      drop(queue.front().frame, Outcome::kPredictedLate);
      queue.pop_front();
    }
    return 0;
  }

  /// The largest batch that leaves an arrival time to wait for a whole batch before its own: 2 t(b) <= objective.
  [[nodiscard]] std::size_t target_batch(DeviceId id, const Session& session) const {
    const BatchTimes& times = device(id).times[session.shape];
    int target = 1;
    for (int batch = 1; batch <= device(id).max_batch; ++batch) {
      if (2 * times[batch] <= session.objective) target = batch;
    }
    return static_cast<std::size_t>(target);
  }

  void forget(CameraId camera) override {
    for (Session& session : sessions_) {
      std::erase_if(session.queue, [&](const Arrival& arrival) {
        if (arrival.camera == camera) drop(arrival.frame, Outcome::kCameraRemoved);
        return arrival.camera == camera;
      });
    }
  }

  std::vector<Session> sessions_;
  std::size_t next_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_nexus() {
  return std::make_unique<Nexus>();
}

}  // namespace gantry::scheduler::sim
