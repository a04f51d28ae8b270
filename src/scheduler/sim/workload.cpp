#include "gantry/scheduler/sim/workload.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/scheduler/sim/random.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr double kNsPerS = 1e9;
constexpr double kNsPerMs = 1e6;
constexpr std::uint64_t kStreamsPerGroup = 1'000'000;

/// The value of a curve at `x`, linear in between and constant outside; 1 for an empty curve.
double at(const std::vector<std::pair<double, double>>& curve, double x) {
  if (curve.empty()) return 1;
  if (x <= curve.front().first) return curve.front().second;
  for (std::size_t i = 1; i < curve.size(); ++i) {
    if (x > curve[i].first) continue;
    const auto& [x0, y0] = curve[i - 1];
    const auto& [x1, y1] = curve[i];
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0);
  }
  return curve.back().second;
}

/// When a bursty group is loud: [begin, end) in seconds, in order.
std::vector<std::pair<double, double>> loud_times(const CameraGroup& group, double duration_s, Random& random) {
  std::vector<std::pair<double, double>> loud;
  double t = -random.uniform() * (group.burst_on_s + group.burst_off_s);
  while (t < duration_s) {
    t += random.exponential(group.burst_off_s);
    const double end = t + random.exponential(group.burst_on_s);
    loud.emplace_back(t, end);
    t = end;
  }
  return loud;
}

class GroupWriter {
 public:
  GroupWriter(const Scenario& scenario, const CameraGroup& group, std::uint64_t seed, std::uint64_t first_stream,
              Workload& out)
      : scenario_(scenario), group_(group), seed_(seed), first_stream_(first_stream), out_(out) {
    if (group.process == ArrivalProcess::kBursty) {
      Random random(seed, first_stream + kStreamsPerGroup - 1);
      loud_ = loud_times(group, scenario.duration_s, random);
    }
  }

  void write() {
    for (int i = 0; i < group_.count; ++i) write_camera(i);
  }

 private:
  void write_camera(int index) {
    Random random(seed_, first_stream_ + index);
    const double fps = group_.fps_low * std::pow(group_.fps_high / group_.fps_low, random.uniform());
    const double period_s = 1 / fps;
    const bool periodic = group_.process == ArrivalProcess::kPeriodic;
    camera_ = static_cast<CameraId>(out_.cameras.size());
    shape_ = shape_of(index);
    // Which cameras of the group are on is a matter of their place in it, spread so that shapes are on alike.
    place_ = std::fmod((index + 0.5) * 0.6180339887498949, 1.0);
    out_.cameras.push_back({.priority = group_.priority,
                            .weight = group_.weight,
                            .period_ns = periodic ? std::llround(period_s * kNsPerS) : 0});
    if (periodic) {
      write_periodic(index, period_s, random);
    } else {
      write_random(fps, random);
    }
  }

  void write_periodic(int index, double period_s, Random& random) {
    double phase_s = random.uniform() * period_s;
    if (group_.phase == PhaseRule::kAligned) phase_s = 0;
    if (group_.phase == PhaseRule::kSpread) phase_s = period_s * index / group_.count;
    for (std::int64_t k = 0;; ++k) {
      const double t = phase_s + static_cast<double>(k) * period_s;
      if (t >= scenario_.duration_s) break;
      const double jitter_s = group_.jitter_ms > 0 ? random.normal() * group_.jitter_ms / 1e3 : 0;
      put(std::clamp(t + jitter_s, 0.0, scenario_.duration_s), t, random);
    }
  }

  void write_random(double fps, Random& random) {
    // Thinning: candidates come at the highest rate, and each stays with the share that the present rate has of it.
    const double highest = fps * (loud_.empty() ? 1 : group_.burst_factor);
    std::size_t burst = 0;
    for (double t = random.exponential(1 / highest); t < scenario_.duration_s; t += random.exponential(1 / highest)) {
      while (burst < loud_.size() && loud_[burst].second <= t) ++burst;
      const bool loud = burst < loud_.size() && loud_[burst].first <= t;
      const double rate = loud_.empty() ? fps : (loud ? highest : fps * quiet_factor());
      if (random.uniform() * highest < rate) put(t, t, random);
    }
  }

  [[nodiscard]] double quiet_factor() const {
    const double on = group_.burst_on_s;
    const double off = group_.burst_off_s;
    return (on + off - group_.burst_factor * on) / off;
  }

  void put(double at_s, double nominal_s, Random& random) {
    const bool urgent = group_.urgent_share > 0 && random.uniform() < group_.urgent_share;
    if (place_ >= at(group_.activity, nominal_s)) return;
    const VirtualNs at_ns = std::llround(at_s * kNsPerS);
    const double deadline_ms = urgent ? group_.urgent_deadline_ms : group_.deadline_ms;
    out_.frames.push_back({.at_ns = at_ns,
                           .deadline_ns = at_ns + std::llround(deadline_ms * kNsPerMs),
                           .camera = camera_,
                           .priority = urgent ? Priority::kUrgent : group_.priority,
                           .shape = shape_});
  }

  /// Deals the shapes out in proportion, so that a group of any size has them in the asked shares.
  [[nodiscard]] std::uint8_t shape_of(int index) const {
    const double place = std::fmod((index + 0.5) * 0.7548776662466927, 1.0);
    double sum = 0;
    for (const auto& [shape, share] : group_.shapes) {
      sum += share;
      if (place < sum) return static_cast<std::uint8_t>(shape);
    }
    return static_cast<std::uint8_t>(group_.shapes.back().first);
  }

  const Scenario& scenario_;
  const CameraGroup& group_;
  std::uint64_t seed_;
  std::uint64_t first_stream_;
  Workload& out_;
  std::vector<std::pair<double, double>> loud_;
  CameraId camera_ = 0;
  std::uint8_t shape_ = 0;
  double place_ = 0;
};

}  // namespace

Workload make_workload(const Scenario& scenario, std::uint64_t seed) {
  if (!scenario.trace.empty()) return read_trace(scenario.trace, scenario.shapes);
  Workload workload;
  std::uint64_t stream = 0;
  for (const CameraGroup& group : scenario.cameras) {
    GroupWriter(scenario, group, seed, stream, workload).write();
    stream += kStreamsPerGroup;
  }
  std::sort(workload.frames.begin(), workload.frames.end(), [](const WorkFrame& a, const WorkFrame& b) {
    return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.camera < b.camera;
  });
  return workload;
}

}  // namespace gantry::scheduler::sim
