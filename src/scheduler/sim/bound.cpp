#include "gantry/scheduler/sim/bound.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <queue>

namespace gantry::scheduler::sim {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What costs do not depend on beyond this: two frames with the same shape and the same time to their deadlines cost
/// alike.
struct Kind {
  int shape = 0;
  VirtualNs allowed_ns = 0;
  friend auto operator<=>(const Kind&, const Kind&) = default;
};

/// A frame on the axis of work done: served between `from` and `until`.
struct Job {
  double from = 0, until = 0, cost = 0;
};

class Relaxation {
 public:
  Relaxation(const Workload& workload, const std::vector<DeviceModel>& devices, int shapes, Cap cap)
      : workload_(workload), devices_(devices) {
    const double cap_ns = cap == Cap::kUrgent ? shortest_urgent_ns(workload) : kInfinity;
    for (const DeviceModel& device : devices) {
      std::vector<double>& limits = limits_ns_.emplace_back();
      double best = 0;
      for (int shape = 0; shape < shapes; ++shape) {
        limits.push_back(cap_ns - device.cost_ns(shape, 1));
        for (int b = 1; b <= device.max_batch(); ++b) {
          if (device.cost_ns(shape, b) <= limits.back()) best = std::max(best, b / device.cost_ns(shape, b));
        }
      }
      rate_.push_back(best);
    }
  }

  double solve() {
    std::map<Kind, double> costs;
    std::vector<Job> jobs;
    jobs.reserve(workload_.frames.size());
    for (const WorkFrame& frame : workload_.frames) {
      const Kind kind{frame.shape, frame.deadline_ns - frame.at_ns};
      auto place = costs.find(kind);
      if (place == costs.end()) place = costs.emplace(kind, cheapest(kind)).first;
      if (place->second < kInfinity) jobs.push_back({work_by(frame.at_ns), work_by(frame.deadline_ns), place->second});
    }
    std::vector<double> distinct;
    for (const auto& [kind, cost] : costs) {
      if (cost < kInfinity) distinct.push_back(cost);
    }
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());

    double bound = 0;
    for (std::size_t k = 0; k < distinct.size(); ++k) {
      const double next = k + 1 < distinct.size() ? 1 / distinct[k + 1] : 0;
      bound += (1 / distinct[k] - next) * most_work(jobs, distinct[k]);
    }
    return std::min(bound, static_cast<double>(jobs.size()));
  }

 private:
  [[nodiscard]] double cheapest(const Kind& kind) const {
    double cost = kInfinity;
    for (std::size_t d = 0; d < devices_.size(); ++d) {
      const double longest_ns = static_cast<double>(kind.allowed_ns) * devices_[d].fastest();
      for (int b = 1; b <= devices_[d].max_batch(); ++b) {
        const double t = devices_[d].cost_ns(kind.shape, b);
        if (t <= longest_ns && t <= limits_ns_[d][kind.shape]) cost = std::min(cost, rate_[d] * t / b);
      }
    }
    return cost;
  }

  [[nodiscard]] double work_by(VirtualNs at) const {
    double work = 0;
    for (std::size_t d = 0; d < devices_.size(); ++d) work += rate_[d] * devices_[d].work_by(at);
    return work;
  }

  /// f(S) of the frames that cost at most `dearest`: earliest deadline first on a machine of speed 1.
  [[nodiscard]] static double most_work(const std::vector<Job>& jobs, double dearest) {
    using Waiting = std::pair<double, double>;  // deadline, work left
    std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting;
    double done = 0;
    double now = 0;
    const auto serve_until = [&](double end) {
      while (now < end && !waiting.empty()) {
        auto [until, left] = waiting.top();
        waiting.pop();
        const double work = std::min({left, until - now, end - now});
        if (work <= 0) continue;
        now += work;
        done += work;
        if (left > work && until > now) waiting.emplace(until, left - work);
      }
      now = std::max(now, end);
    };
    for (const Job& job : jobs) {
      if (job.cost > dearest) continue;
      serve_until(job.from);
      waiting.emplace(job.until, job.cost);
    }
    serve_until(kInfinity);
    return done;
  }

  const Workload& workload_;
  const std::vector<DeviceModel>& devices_;
  std::vector<double> rate_;                    ///< r_d, frames per ns of table time
  std::vector<std::vector<double>> limits_ns_;  ///< [device][shape]
};

}  // namespace

double shortest_urgent_ns(const Workload& workload) noexcept {
  double shortest = kInfinity;
  for (const WorkFrame& frame : workload.frames) {
    if (frame.priority >= Priority::kNormal) continue;
    shortest = std::min(shortest, static_cast<double>(frame.deadline_ns - frame.at_ns));
  }
  return shortest;
}

double upper_bound(const Workload& workload, const std::vector<DeviceModel>& devices, int shapes, Cap cap) {
  return Relaxation(workload, devices, shapes, cap).solve();
}

}  // namespace gantry::scheduler::sim
