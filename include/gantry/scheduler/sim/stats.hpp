#pragma once
// What came of one run, and the figures that are made of it.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gantry/core/outcome.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

/// Frames of one class.
struct ClassStats {
  std::uint64_t offered = 0;
  std::array<std::uint64_t, kOutcomeCount> outcomes{};  ///< sums to offered
  /// In µs from arrival, in no order: to launch, of frames that ran; to the result, of frames that got one in time.
  std::vector<std::uint32_t> queue_wait_us;
  std::vector<std::uint32_t> latency_us;

  [[nodiscard]] std::uint64_t in_time() const noexcept {
    return outcomes[static_cast<std::size_t>(Outcome::kPublished)];
  }
  /// Share of the offered frames without an answer in time, whatever the reason; 0 where none were offered.
  [[nodiscard]] double miss_rate() const noexcept;
};

/// Frames that arrived in one slice of the run; for pictures and for fairness over time.
struct Slice {
  std::uint32_t offered = 0;
  std::uint32_t in_time = 0;
  std::uint32_t batches = 0;         ///< launched
  std::uint32_t batched_frames = 0;  ///< in them
  double wait_ms = 0;                ///< summed over batched_frames
};

struct RunStats {
  static constexpr int kSlices = 120;

  std::string policy;
  std::uint64_t seed = 0;
  double duration_s = 0;
  std::array<ClassStats, kPriorityCount> classes;
  std::array<Slice, kSlices> slices{};
  std::uint64_t batches = 0;
  std::uint64_t batched_frames = 0;
  std::uint64_t hopeless = 0;      ///< frames started though even the table time ended past their deadline
  std::vector<double> busy_share;  ///< a device: time with a batch on it over the run's duration
  std::uint64_t events = 0;        ///< arrivals, completions, device events and timers
  std::uint64_t decisions = 0;     ///< calls of decide()
  double jain = 1;                 ///< of normal frames, see jain_index()

  [[nodiscard]] std::uint64_t offered() const noexcept;
  [[nodiscard]] std::uint64_t in_time() const noexcept;
  /// Share of all frames answered inside their deadlines.
  [[nodiscard]] double goodput() const noexcept;
};

/// Value at quantile q (0…1) by the nearest-rank rule; 0 for none. Reorders `values`.
[[nodiscard]] std::uint32_t quantile(std::vector<std::uint32_t>& values, double q);

/// The max-min fair split of `total` among demands: everybody gets min(demand, weight * level), with one level for all.
/// @pre as many weights as demands; weights > 0
[[nodiscard]] std::vector<double> fair_split(const std::vector<double>& demands, const std::vector<double>& weights,
                                             double total);

/// Jain's index (sum x)^2 / (n sum x^2) of x = got / entitled, over those entitled to something; 1 for none.
[[nodiscard]] double jain_index(const std::vector<double>& got, const std::vector<double>& entitled);

}  // namespace gantry::scheduler::sim
