#include "gantry/scheduler/sim/stats.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler::sim {

double ClassStats::miss_rate() const noexcept {
  return offered == 0 ? 0 : 1 - static_cast<double>(in_time()) / static_cast<double>(offered);
}

std::uint64_t RunStats::offered() const noexcept {
  std::uint64_t sum = 0;
  for (const ClassStats& stats : classes) sum += stats.offered;
  return sum;
}

std::uint64_t RunStats::in_time() const noexcept {
  std::uint64_t sum = 0;
  for (const ClassStats& stats : classes) sum += stats.in_time();
  return sum;
}

double RunStats::goodput() const noexcept {
  return offered() == 0 ? 1 : static_cast<double>(in_time()) / static_cast<double>(offered());
}

std::uint32_t quantile(std::vector<std::uint32_t>& values, double q) {
  if (values.empty()) return 0;
  const double rank = std::ceil(q * static_cast<double>(values.size()));
  const auto index = static_cast<std::size_t>(std::clamp(rank - 1, 0.0, static_cast<double>(values.size() - 1)));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

std::vector<double> fair_split(const std::vector<double>& demands, const std::vector<double>& weights, double total) {
  GANTRY_EXPECTS(demands.size() == weights.size(), "give every demand its weight");
  // Those who ask least for their weight are served first, in full while the level allows.
  std::vector<std::size_t> order(demands.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double left = demands[a] / weights[a];
    const double right = demands[b] / weights[b];
    return left != right ? left < right : a < b;
  });
  double weight_left = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> split(demands.size());
  for (const std::size_t i : order) {
    const double level = weight_left > 0 ? std::max(total, 0.0) / weight_left : 0;
    split[i] = std::min(demands[i], weights[i] * level);
    total -= split[i];
    weight_left -= weights[i];
  }
  return split;
}

double jain_index(const std::vector<double>& got, const std::vector<double>& entitled) {
  GANTRY_EXPECTS(got.size() == entitled.size(), "give everybody what they are entitled to");
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (entitled[i] <= 0) continue;
    const double x = got[i] / entitled[i];
    sum += x;
    squares += x * x;
    count += 1;
  }
  return squares > 0 ? sum * sum / (count * squares) : 1;
}

}  // namespace gantry::scheduler::sim
