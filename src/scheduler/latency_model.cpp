#include "gantry/scheduler/latency_model.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler {
namespace {

constexpr double kCorrectionGain = 0.05;
constexpr double kCorrectionClamp = 0.25;
constexpr double kJump = 1.2;  // ratio by which the median must differ before the slow-down follows it
constexpr double kHighQuantile = 0.99;
constexpr double kQuantileStep = 0.02;  // of the ratio, a batch that lies above
constexpr double kSpreadGain = 0.02;
constexpr double kMinHigh = 1.0;
constexpr double kMaxHigh = 5.0;
constexpr double kDefaultHigh = 1.05;  // a profile without p99

double interpolate(std::span<const LatencyPoint> points, int batch) {
  const auto ns = [](const LatencyPoint& p) { return static_cast<double>(p.mean.count()); };
  if (batch <= points.front().batch || points.size() == 1) {
    // Below the first point, and with only one: in proportion, which is never too optimistic above and is corrected by
    // the first observations.
    return points.size() == 1 ? ns(points.front()) * std::max(1.0, static_cast<double>(batch) / points.front().batch)
                              : ns(points.front());
  }
  std::size_t right = 1;
  while (right + 1 < points.size() && points[right].batch < batch) ++right;
  const LatencyPoint& a = points[right - 1];
  const LatencyPoint& b = points[right];
  const double slope = std::max(0.0, (ns(b) - ns(a)) / (b.batch - a.batch));
  return ns(a) + slope * (batch - a.batch);
}

}  // namespace

void LatencyModel::set_profile(DeviceId device, ShapeId shape, int max_batch, std::span<const LatencyPoint> points) {
  GANTRY_EXPECTS(!points.empty() && max_batch >= 1 && max_batch <= kMaxBatch,
                 "a latency profile needs at least one point and a batch size of 1 to 256");
  GANTRY_EXPECTS(device < kMaxDevices && shape < kMaxShapes, "device or shape number too large");
  if (devices_.size() <= device) devices_.resize(device + 1U);
  auto& curves = devices_[device].curves;
  if (curves.size() <= shape) curves.resize(shape + 1U);
  Curve fresh;
  fresh.max_batch = max_batch;
  fresh.profile_ns.assign(static_cast<std::size_t>(max_batch) + 1, 0);
  int last_batch = 0;
  double high_sum = 0;
  int highs = 0;
  for (const LatencyPoint& point : points) {
    GANTRY_EXPECTS(point.batch > last_batch && point.mean > Duration::zero(),
                   "latency points must ascend in batch and be longer than zero");
    last_batch = point.batch;
    if (point.batch <= max_batch) fresh.knot_batch.push_back(point.batch);
    if (point.p99 > Duration::zero()) {
      high_sum += static_cast<double>(point.p99.count()) / static_cast<double>(point.mean.count());
      ++highs;
    }
  }
  for (int batch = 1; batch <= max_batch; ++batch)
    fresh.profile_ns[batch] = std::max(fresh.profile_ns[batch - 1], interpolate(points, batch));
  if (fresh.knot_batch.empty() || fresh.knot_batch.back() < max_batch) fresh.knot_batch.push_back(max_batch);
  fresh.knot_correction.assign(fresh.knot_batch.size(), 1.0);
  fresh.table_ns = fresh.profile_ns;
  fresh.high = std::clamp(highs > 0 ? high_sum / highs : kDefaultHigh, kMinHigh, kMaxHigh);
  fresh.spread = (fresh.high - 1) / 2.33;  // p99 of a normal distribution lies 2.33 σ up
  curves[shape] = std::move(fresh);
}

bool LatencyModel::knows(DeviceId device, ShapeId shape) const noexcept {
  return max_batch(device, shape) > 0;
}

int LatencyModel::max_batch(DeviceId device, ShapeId shape) const noexcept {
  if (device >= devices_.size() || shape >= devices_[device].curves.size()) return 0;
  return curve(device, shape).max_batch;
}

double LatencyModel::mean_ns(DeviceId device, ShapeId shape, int batch) const noexcept {
  return curve(device, shape).table_ns[batch] * devices_[device].slowdown;
}

double LatencyModel::high_factor(DeviceId device, ShapeId shape) const noexcept {
  return curve(device, shape).high;
}

double LatencyModel::likely_factor(DeviceId device, ShapeId shape, double sigmas) const noexcept {
  const Curve& c = curve(device, shape);
  return std::min(c.high, 1 + sigmas * c.spread);
}

double LatencyModel::high_ns(DeviceId device, ShapeId shape, int batch) const noexcept {
  return mean_ns(device, shape, batch) * high_factor(device, shape);
}

double LatencyModel::likely_ns(DeviceId device, ShapeId shape, int batch, double sigmas) const noexcept {
  return mean_ns(device, shape, batch) * likely_factor(device, shape, sigmas);
}

int LatencyModel::largest_batch(DeviceId device, ShapeId shape, double limit_ns, double factor) const noexcept {
  const Curve& c = curve(device, shape);
  const double limit = limit_ns / (factor * devices_[device].slowdown);
  const auto first_above = std::upper_bound(c.table_ns.begin() + 1, c.table_ns.end(), limit);
  return static_cast<int>(first_above - c.table_ns.begin()) - 1;
}

int LatencyModel::best_batch(DeviceId device, ShapeId shape, int limit) const noexcept {
  const Curve& c = curve(device, shape);
  limit = std::min(limit, c.max_batch);
  int best = 1;
  for (int batch = 2; batch <= limit; ++batch)
    if (batch * c.table_ns[best] >= best * c.table_ns[batch]) best = batch;
  return best;
}

void LatencyModel::rebuild(Curve& c, std::size_t knot) noexcept {
  const int first = knot == 0 ? 1 : c.knot_batch[knot - 1];
  const int last = knot + 1 < c.knot_batch.size() ? c.knot_batch[knot + 1] : c.max_batch;
  for (int batch = first; batch <= last; ++batch) {
    const auto right = static_cast<std::size_t>(std::lower_bound(c.knot_batch.begin(), c.knot_batch.end(), batch) -
                                                c.knot_batch.begin());
    double correction = c.knot_correction[std::min(right, c.knot_batch.size() - 1)];
    if (right > 0 && right < c.knot_batch.size()) {
      const int a = c.knot_batch[right - 1];
      const int b = c.knot_batch[right];
      const double part = static_cast<double>(batch - a) / (b - a);
      correction = c.knot_correction[right - 1] * (1 - part) + correction * part;
    }
    c.table_ns[batch] = std::max(c.table_ns[batch - 1], c.profile_ns[batch] * correction);
  }
  for (int batch = last + 1; batch <= c.max_batch && c.table_ns[batch] < c.table_ns[batch - 1]; ++batch)
    c.table_ns[batch] = c.table_ns[batch - 1];
}

void LatencyModel::observe(DeviceId device, ShapeId shape, int batch, double actual_ns) noexcept {
  if (!knows(device, shape) || actual_ns <= 0) return;
  Device& dev = devices_[device];
  Curve& c = dev.curves[shape];
  batch = std::clamp(batch, 1, c.max_batch);

  const double ratio = actual_ns / c.table_ns[batch];
  dev.ratios[dev.seen++ % dev.ratios.size()] = ratio;
  if (dev.seen >= static_cast<int>(dev.ratios.size())) {
    if (dev.seen > 1'000'000) dev.seen = static_cast<int>(dev.ratios.size()) * 2;
    std::array<double, 5> sorted = dev.ratios;
    std::nth_element(sorted.begin(), sorted.begin() + 2, sorted.end());
    const double median = sorted[2];
    if (median > dev.slowdown * kJump || median * kJump < dev.slowdown) {
      dev.slowdown = median;
      return;  // what the jump explains must not move the rest
    }
  }

  const double residual = ratio / dev.slowdown;
  const auto nearest = [&] {
    std::size_t best = 0;
    for (std::size_t k = 1; k < c.knot_batch.size(); ++k)
      if (std::abs(c.knot_batch[k] - batch) < std::abs(c.knot_batch[best] - batch)) best = k;
    return best;
  }();
  c.knot_correction[nearest] *= 1 + kCorrectionGain * std::clamp(residual - 1, -kCorrectionClamp, kCorrectionClamp);
  rebuild(c, nearest);

  c.high += kQuantileStep * (residual > c.high ? kHighQuantile : kHighQuantile - 1);
  c.high = std::clamp(c.high, kMinHigh, kMaxHigh);
  const double deviation = std::min(std::abs(residual - 1) * 1.2533, std::max(0.05, 4 * c.spread));
  c.spread += kSpreadGain * (deviation - c.spread);
}

void LatencyModel::forget_slowdown(DeviceId device) noexcept {
  if (device >= devices_.size()) return;
  devices_[device].slowdown = 1;
  devices_[device].seen = 0;
}

double LatencyModel::slowdown(DeviceId device) const noexcept {
  return device < devices_.size() ? devices_[device].slowdown : 1;
}

}  // namespace gantry::scheduler
