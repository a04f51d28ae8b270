#include "gantry/scheduler/sim/wait_bound.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr VirtualNs kResolution = 10'000;
constexpr int kPrices = 25;

class WaitBound {
 public:
  WaitBound(const Workload& workload, const DeviceModel& device, double q) : device_(device) {
    VirtualNs last = 0;
    for (const WorkFrame& frame : workload.frames) {
      GANTRY_EXPECTS(frame.shape == 0, "the bound on queue wait is for one input shape");
      arrivals_.push_back(frame.at_ns);
      last = std::max(last, frame.deadline_ns);
    }
    GANTRY_EXPECTS(!arrivals_.empty() && device.faults().empty(), "the bound needs frames and a device without faults");
    work_ = device.work_by(last) - device.work_by(arrivals_.front());
    prompt_ = static_cast<std::size_t>(std::ceil(q * static_cast<double>(arrivals_.size())));
    // From nothing to what a frame costs at the best batch or, where the next one costs more, at the worst place.
    double dearest = 0;
    for (int b = 1; b <= device.max_batch(); ++b)
      dearest = std::max(dearest, device.cost_ns(0, b) - (b > 1 ? device.cost_ns(0, b - 1) : 0));
    for (int i = 0; i < kPrices; ++i) prices_.push_back(dearest * i / (kPrices - 1));
  }

  [[nodiscard]] VirtualNs solve() const {
    VirtualNs high = kResolution;
    while (excluded(high) && high < kLongest) high *= 2;
    VirtualNs low = 0;  // may be possible, is not asked
    while (high - low > kResolution) {
      const VirtualNs middle = low + (high - low) / 2;
      (excluded(middle) ? low : high) = middle;
    }
    return low;
  }

 private:
  static constexpr VirtualNs kLongest = 60'000'000'000;

  /// For each frame, the most arrivals in a window of length `wait` that holds it, up to a full batch.
  [[nodiscard]] std::vector<int> neighbours(VirtualNs wait) const {
    std::vector<int> most(arrivals_.size(), 1);
    std::size_t end = 0;
    for (std::size_t begin = 0; begin < arrivals_.size(); ++begin) {
      while (end < arrivals_.size() && arrivals_[end] <= arrivals_[begin] + wait) ++end;
      // Frames from begin to end - 1 fit into one window; a longer one that began earlier has told them already.
      const int size = static_cast<int>(end - begin);
      for (std::size_t i = begin; i < end; ++i) most[i] = std::max(most[i], size);
    }
    for (int& count : most) count = std::min(count, device_.max_batch());
    return most;
  }

  [[nodiscard]] bool excluded(VirtualNs wait) const {
    std::vector<std::size_t> frames_of(static_cast<std::size_t>(device_.max_batch()) + 1, 0);
    for (const int count : neighbours(wait)) ++frames_of[static_cast<std::size_t>(count)];
    return std::any_of(prices_.begin(), prices_.end(), [&](double price) { return work(frames_of, price) > work_; });
  }

  [[nodiscard]] double work(const std::vector<std::size_t>& frames_of, double price) const {
    double sum = price * static_cast<double>(arrivals_.size() - prompt_);
    // A frame among more others is never dearer, so the cheapest are those with the most neighbours.
    std::vector<double> share(frames_of.size(), std::numeric_limits<double>::infinity());
    for (int r = 1; r <= device_.max_batch(); ++r) {
      double least = std::numeric_limits<double>::infinity();
      for (int b = r; b <= device_.max_batch(); ++b) least = std::min(least, device_.cost_ns(0, b) - price * (b - r));
      share[static_cast<std::size_t>(r)] = std::min(share[static_cast<std::size_t>(r) - 1], least / r);
    }
    std::size_t left = prompt_;
    for (std::size_t r = frames_of.size() - 1; r > 0 && left > 0; --r) {
      const std::size_t taken = std::min(left, frames_of[r]);
      sum += static_cast<double>(taken) * share[r];
      left -= taken;
    }
    return sum;
  }

  const DeviceModel& device_;
  std::vector<VirtualNs> arrivals_;
  double work_ = 0;
  std::size_t prompt_ = 0;
  std::vector<double> prices_;
};

}  // namespace

VirtualNs least_wait(const Workload& workload, const DeviceModel& device, double q) {
  return WaitBound(workload, device, q).solve();
}

}  // namespace gantry::scheduler::sim
