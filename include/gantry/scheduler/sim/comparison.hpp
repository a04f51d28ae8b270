#pragma once
// Many runs side by side: scenarios × seeds × policies, with the bounds, and what is printed of them.
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gantry/scheduler/sim/scenario.hpp"
#include "gantry/scheduler/sim/stats.hpp"

namespace gantry::scheduler::sim {

/// One run in a few numbers. Times in ms.
struct RunSummary {
  std::uint64_t seed = 0;
  double goodput = 0;
  std::array<std::uint64_t, kPriorityCount> offered{};
  std::array<std::uint64_t, kPriorityCount> in_time{};
  std::array<std::uint64_t, kOutcomeCount> outcomes{};
  double wait_p50_ms = 0, wait_p99_ms = 0;
  double latency_p50_ms = 0, latency_p99_ms = 0;
  double jain = 1;
  double mean_batch = 0;
  double busy_share = 0;  ///< mean of the devices
  std::uint64_t hopeless = 0;
  std::uint64_t events = 0;
  std::uint64_t decisions = 0;
  std::array<Slice, RunStats::kSlices> slices{};
};

[[nodiscard]] RunSummary summarise(RunStats& stats);

struct PolicyResult {
  std::string policy;
  std::vector<RunSummary> runs;  ///< by seed

  [[nodiscard]] double goodput() const;                 ///< mean
  [[nodiscard]] double miss_rate(bool hurried) const;   ///< urgent and emergency frames, or the rest; all seeds
  [[nodiscard]] double worst_urgent_miss_rate() const;  ///< of any seed
  [[nodiscard]] double lowest_jain() const;             ///< of any seed
  [[nodiscard]] double mean(double RunSummary::*figure) const;
};

struct Comparison {
  Scenario scenario;
  double load = 0;          ///< mean of offered frames a second over what the devices do at their best batches
  double bound = 1;         ///< mean share of the frames, Cap::kNone
  double capped_bound = 1;  ///< the same under Cap::kUrgent; equal to bound without urgent frames
  /// Mean over the seeds of the least queue wait that any schedule could have which answers everything, see
  /// wait_bound.hpp; negative where there are several devices or shapes, or not everything can be answered.
  double least_wait_p50_ms = -1, least_wait_p99_ms = -1;
  std::vector<PolicyResult> policies;
};

struct CompareOptions {
  std::vector<std::string> policies;
  std::uint64_t first_seed = 1;
  int seeds = 1;
  int jobs = 1;                                      ///< threads; the result does not depend on it
  std::function<void(const std::string&)> progress;  ///< a line now and then, from any thread, one at a time
};

[[nodiscard]] std::vector<Comparison> compare(const std::vector<Scenario>& scenarios, const CompareOptions& options);

[[nodiscard]] std::string to_text(const std::vector<Comparison>& comparisons);
[[nodiscard]] std::string to_markdown(const std::vector<Comparison>& comparisons);
[[nodiscard]] std::string to_json(const std::vector<Comparison>& comparisons);
/// Goodput, queue wait and batch size over virtual time of the first seed of one comparison, as an SVG picture.
[[nodiscard]] std::string to_svg(const Comparison& comparison);

}  // namespace gantry::scheduler::sim
