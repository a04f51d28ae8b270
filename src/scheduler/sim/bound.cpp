#include "gantry/scheduler/sim/bound.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>

namespace gantry::scheduler::sim {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1e-9;  // of sums of millions of terms

/// Batch sizes at which costs are told apart; in between, the next larger one stands. Each one costs a pass.
constexpr std::array kSteps{1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,  17,  18,  19,  20,  21,
                            22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 40, 48, 64, 96, 128, 192, 256, 512, 1024};

/// A frame on the axis of work done: served between `from` and `until`.
struct Job {
  double from = 0, until = 0, cost = 0;
};

/// Devices with the same table and limit.
struct DeviceKind {
  const DeviceModel* device = nullptr;
  double fastest = 1;
  double rate = 0;  ///< r_d, frames per ns of table time
};

class Relaxation {
 public:
  Relaxation(const Workload& workload, const std::vector<DeviceModel>& devices, int shapes, Cap cap)
      : workload_(workload),
        devices_(devices),
        shapes_(shapes),
        cap_ns_(cap == Cap::kUrgent ? shortest_urgent_ns(workload) : kInfinity) {
    for (const DeviceModel& device : devices) {
      double best = 0;
      for (int shape = 0; shape < shapes; ++shape) {
        for (int b = 1; allowed(device, shape, b); ++b) best = std::max(best, b / device.cost_ns(shape, b));
      }
      rate_.push_back(best);
      const auto same = std::find_if(kinds_.begin(), kinds_.end(),
                                     [&](const DeviceKind& kind) { return kind.device->same_table(device); });
      if (same == kinds_.end()) {
        kinds_.push_back({&device, device.fastest(), best});
      } else {
        same->fastest = std::max(same->fastest, device.fastest());
      }
    }
  }

  double solve() {
    const std::vector<double> costs = costs_of_frames();
    std::vector<Job> jobs;
    std::vector<double> distinct;
    double all_work = 0;
    for (std::size_t i = 0; i < costs.size(); ++i) {
      if (costs[i] == kInfinity) continue;
      const WorkFrame& frame = workload_.frames[i];
      jobs.push_back({work_by(frame.at_ns), work_by(frame.deadline_ns), costs[i]});
      all_work += costs[i];
      if (distinct.empty() || distinct.back() != costs[i]) distinct.push_back(costs[i]);
    }
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    if (jobs.empty() || most_work(jobs, kInfinity) >= all_work * (1 - kRounding))
      return static_cast<double>(jobs.size());

    double bound = 0;
    for (std::size_t k = 0; k < distinct.size(); ++k) {
      const double next = k + 1 < distinct.size() ? 1 / distinct[k + 1] : 0;
      bound += (1 / distinct[k] - next) * most_work(jobs, distinct[k]);
    }
    return std::min(bound, static_cast<double>(jobs.size()));
  }

 private:
  [[nodiscard]] bool allowed(const DeviceModel& device, int shape, int batch) const {
    return batch <= device.max_batch() && device.cost_ns(shape, batch) <= cap_ns_ - device.cost_ns(shape, 1);
  }

  /// c_j, by frame; infinity for frames that nobody can answer in time.
  [[nodiscard]] std::vector<double> costs_of_frames() const {
    std::vector<double> costs(workload_.frames.size(), kInfinity);
    for (int shape = 0; shape < shapes_; ++shape) {
      std::vector<std::size_t> members;
      VirtualNs longest_ns = 0;
      for (std::size_t i = 0; i < costs.size(); ++i) {
        const WorkFrame& frame = workload_.frames[i];
        if (frame.shape != shape) continue;
        members.push_back(i);
        longest_ns = std::max(longest_ns, frame.deadline_ns - frame.at_ns);
      }
      for (const DeviceKind& kind : kinds_) lower_costs(kind, shape, members, static_cast<double>(longest_ns), costs);
    }
    return costs;
  }

  void lower_costs(const DeviceKind& kind, int shape, const std::vector<std::size_t>& members, double longest_ns,
                   std::vector<double>& costs) const {
    const std::vector<int> crowd = crowds(kind, shape, members, longest_ns);
    for (std::size_t m = 0; m < members.size(); ++m) {
      const WorkFrame& frame = workload_.frames[members[m]];
      const double time_ns = static_cast<double>(frame.deadline_ns - frame.at_ns) * kind.fastest;
      double& cost = costs[members[m]];
      for (int b = 1; b <= crowd[m] && allowed(*kind.device, shape, b); ++b) {
        const double t = kind.device->cost_ns(shape, b);
        if (t > time_ns) break;
        cost = std::min(cost, kind.rate * t / b);
      }
    }
  }

  /// The largest batch that the arrivals around each frame could fill, rounded up to a step.
  [[nodiscard]] std::vector<int> crowds(const DeviceKind& kind, int shape, const std::vector<std::size_t>& members,
                                        double longest_ns) const {
    std::vector<int> crowd(members.size(), 1);
    const auto at = [&](std::size_t m) { return static_cast<double>(workload_.frames[members[m]].at_ns); };
    for (int b = 2; allowed(*kind.device, shape, b); ++b) {
      const double span_ns = longest_ns - kind.device->cost_ns(shape, b) / kind.fastest;
      const auto size = static_cast<std::size_t>(b);
      std::size_t unmarked = 0;  // first frame that no run of b arrivals has covered yet
      for (std::size_t first = 0; first + size <= members.size(); ++first) {
        if (at(first + size - 1) - at(first) > span_ns) continue;
        for (std::size_t m = std::max(first, unmarked); m < first + size; ++m) crowd[m] = b;
        unmarked = first + size;
      }
      if (unmarked == 0) break;
    }
    for (int& size : crowd) size = *std::lower_bound(kSteps.begin(), kSteps.end(), size);
    return crowd;
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
  int shapes_;
  double cap_ns_;
  std::vector<double> rate_;  ///< r_d, by device
  std::vector<DeviceKind> kinds_;
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
