#include "gantry/scheduler/sim/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "gantry/core/expects.hpp"
#include "gantry/scheduler/sim/bound.hpp"
#include "gantry/scheduler/sim/policies.hpp"
#include "gantry/scheduler/sim/simulator.hpp"
#include "gantry/scheduler/sim/wait_bound.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr double kUsPerMs = 1000;
constexpr double kNsPerMs = 1e6;
constexpr double kEverything = 0.9999;  // of the frames: as good as all

/// What one scenario with one seed gives.
struct Cell {
  double load = 0, bound = 1, capped_bound = 1;
  double least_wait_p50_ms = -1, least_wait_p99_ms = -1;
  std::vector<RunSummary> runs;  ///< by policy
};

double load_of(const Scenario& scenario, const Workload& workload, const std::vector<DeviceModel>& devices) {
  // Demand in device seconds at the best batch of each shape, on all devices together.
  std::vector<double> rate(scenario.shapes.size());
  for (const DeviceModel& device : devices) {
    for (std::size_t shape = 0; shape < rate.size(); ++shape) {
      double best = 0;
      for (int b = 1; b <= device.max_batch(); ++b)
        best = std::max(best, b / device.cost_ns(static_cast<int>(shape), b));
      rate[shape] += best;
    }
  }
  double demand_ns = 0;
  for (const WorkFrame& frame : workload.frames) demand_ns += 1 / rate[frame.shape];
  return demand_ns / (scenario.duration_s * 1e9);
}

Cell run_cell(const Scenario& scenario, std::uint64_t seed, const std::vector<std::string>& policies) {
  const Workload workload = make_workload(scenario, seed);
  GANTRY_EXPECTS(!workload.frames.empty(), "scenario '" + scenario.full_name() + "' has no frames; lengthen it");
  const std::vector<DeviceModel> devices = make_devices(scenario, seed);
  const auto frames = static_cast<double>(workload.frames.size());
  const int shapes = static_cast<int>(scenario.shapes.size());
  Cell cell;
  cell.load = load_of(scenario, workload, devices);
  cell.bound = upper_bound(workload, devices, shapes, Cap::kNone) / frames;
  cell.capped_bound = scenario.urgent_cap ? upper_bound(workload, devices, shapes, Cap::kUrgent) / frames : cell.bound;
  if (devices.size() == 1 && shapes == 1 && devices.front().faults().empty() && cell.bound > kEverything) {
    cell.least_wait_p50_ms = static_cast<double>(least_wait(workload, devices.front(), 0.5)) / kNsPerMs;
    cell.least_wait_p99_ms = static_cast<double>(least_wait(workload, devices.front(), 0.99)) / kNsPerMs;
  }
  for (const std::string& name : policies) {
    const auto policy = make_policy(name);
    RunStats stats = simulate(scenario, workload, devices, *policy);
    stats.seed = seed;
    cell.runs.push_back(summarise(stats));
  }
  return cell;
}

/// Calls work(0) … work(count - 1) on `jobs` threads; rethrows the first failure.
template <typename Work>
void in_parallel(std::size_t count, int jobs, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto loop = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::jthread> threads;
  for (int job = 1; job < jobs; ++job) threads.emplace_back(loop);
  loop();
  threads.clear();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

RunSummary summarise(RunStats& stats) {
  RunSummary summary;
  summary.seed = stats.seed;
  summary.goodput = stats.goodput();
  std::vector<std::uint32_t> waits;
  std::vector<std::uint32_t> latencies;
  for (int c = 0; c < kPriorityCount; ++c) {
    const ClassStats& stats_of_class = stats.classes[c];
    summary.offered[c] = stats_of_class.offered;
    summary.in_time[c] = stats_of_class.in_time();
    for (int o = 0; o < kOutcomeCount; ++o) summary.outcomes[o] += stats_of_class.outcomes[o];
    waits.insert(waits.end(), stats_of_class.queue_wait_us.begin(), stats_of_class.queue_wait_us.end());
    latencies.insert(latencies.end(), stats_of_class.latency_us.begin(), stats_of_class.latency_us.end());
  }
  summary.wait_p50_ms = quantile(waits, 0.5) / kUsPerMs;
  summary.wait_p99_ms = quantile(waits, 0.99) / kUsPerMs;
  summary.latency_p50_ms = quantile(latencies, 0.5) / kUsPerMs;
  summary.latency_p99_ms = quantile(latencies, 0.99) / kUsPerMs;
  summary.jain = stats.jain;
  if (stats.batches > 0) {
    summary.mean_batch = static_cast<double>(stats.batched_frames) / static_cast<double>(stats.batches);
  }
  summary.busy_share = std::accumulate(stats.busy_share.begin(), stats.busy_share.end(), 0.0) /
                       static_cast<double>(stats.busy_share.size());
  summary.hopeless = stats.hopeless;
  summary.events = stats.events;
  summary.decisions = stats.decisions;
  summary.slices = stats.slices;
  return summary;
}

double PolicyResult::mean(double RunSummary::*figure) const {
  double sum = 0;
  for (const RunSummary& run : runs) sum += run.*figure;
  return runs.empty() ? 0 : sum / static_cast<double>(runs.size());
}

double PolicyResult::goodput() const {
  return mean(&RunSummary::goodput);
}

namespace {

double miss_rate_of(const RunSummary& run, bool hurried, std::uint64_t& offered, std::uint64_t& in_time) {
  std::uint64_t run_offered = 0;
  std::uint64_t run_in_time = 0;
  for (const Priority priority : kAllPriorities) {
    if ((priority < Priority::kNormal) != hurried) continue;
    run_offered += run.offered[static_cast<std::size_t>(priority)];
    run_in_time += run.in_time[static_cast<std::size_t>(priority)];
  }
  offered += run_offered;
  in_time += run_in_time;
  return run_offered == 0 ? 0 : 1 - static_cast<double>(run_in_time) / static_cast<double>(run_offered);
}

}  // namespace

double PolicyResult::miss_rate(bool hurried) const {
  std::uint64_t offered = 0;
  std::uint64_t in_time = 0;
  for (const RunSummary& run : runs) miss_rate_of(run, hurried, offered, in_time);
  return offered == 0 ? 0 : 1 - static_cast<double>(in_time) / static_cast<double>(offered);
}

double PolicyResult::worst_urgent_miss_rate() const {
  std::uint64_t offered = 0;
  std::uint64_t in_time = 0;
  double worst = 0;
  for (const RunSummary& run : runs) worst = std::max(worst, miss_rate_of(run, true, offered, in_time));
  return worst;
}

double PolicyResult::lowest_jain() const {
  double lowest = 1;
  for (const RunSummary& run : runs) lowest = std::min(lowest, run.jain);
  return lowest;
}

std::vector<Comparison> compare(const std::vector<Scenario>& scenarios, const CompareOptions& options) {
  GANTRY_EXPECTS(options.seeds >= 1 && options.jobs >= 1, "ask for at least one seed and one job");
  const auto seeds = static_cast<std::size_t>(options.seeds);
  std::vector<Cell> cells(scenarios.size() * seeds);
  std::mutex mutex;
  in_parallel(cells.size(), options.jobs, [&](std::size_t i) {
    const Scenario& scenario = scenarios[i / seeds];
    const std::uint64_t seed = options.first_seed + i % seeds;
    cells[i] = run_cell(scenario, seed, options.policies);
    if (options.progress) {
      const std::lock_guard lock(mutex);
      options.progress(fmt::format("{} seed {}", scenario.full_name(), seed));
    }
  });

  std::vector<Comparison> comparisons;
  for (std::size_t s = 0; s < scenarios.size(); ++s) {
    Comparison comparison{.scenario = scenarios[s], .bound = 0, .capped_bound = 0};
    for (const std::string& name : options.policies) comparison.policies.push_back({name, {}});
    double least_p50 = 0;
    double least_p99 = 0;
    bool wait_is_bounded = true;
    for (std::size_t seed = 0; seed < seeds; ++seed) {
      Cell& cell = cells[s * seeds + seed];
      comparison.load += cell.load / static_cast<double>(seeds);
      comparison.bound += cell.bound / static_cast<double>(seeds);
      comparison.capped_bound += cell.capped_bound / static_cast<double>(seeds);
      least_p50 += cell.least_wait_p50_ms / static_cast<double>(seeds);
      least_p99 += cell.least_wait_p99_ms / static_cast<double>(seeds);
      wait_is_bounded = wait_is_bounded && cell.least_wait_p50_ms >= 0;
      for (std::size_t p = 0; p < options.policies.size(); ++p) {
        comparison.policies[p].runs.push_back(std::move(cell.runs[p]));
      }
    }
    if (wait_is_bounded) comparison.least_wait_p50_ms = least_p50, comparison.least_wait_p99_ms = least_p99;
    comparisons.push_back(std::move(comparison));
  }
  return comparisons;
}

}  // namespace gantry::scheduler::sim
