#include "scheduler/sim/baselines/baseline.hpp"

#include <algorithm>
#include <numeric>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler::sim {

void BatchTimes::set(std::span<const LatencyPoint> points) {
  times_.clear();
  const LatencyPoint* before = &points.front();
  for (const LatencyPoint& point : points) {
    const int first = static_cast<int>(times_.size()) + 1;
    for (int batch = first; batch <= point.batch; ++batch) {
      const int span = point.batch - before->batch;
      const Duration step = span == 0 ? Duration{} : (point.mean - before->mean) * (point.batch - batch) / span;
      times_.push_back(point.mean - step);
    }
    before = &point;
  }
}

Duration BatchTimes::operator[](int batch) const noexcept {
  return times_[std::min(static_cast<std::size_t>(batch), times_.size()) - 1];
}

void BaselinePolicy::add_device(const DeviceSpec& spec, TimePoint) {
  if (spec.id >= devices_.size()) devices_.resize(spec.id + 1U);
  devices_[spec.id].max_batch = spec.max_batch;
  devices_[spec.id].places = spec.concurrent_batches;
  started_.resize(devices_.size());
}

void BaselinePolicy::set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points, TimePoint) {
  GANTRY_EXPECTS(device < devices_.size() && !points.empty(), "add the device first, and give at least one point");
  BaselineDevice& target = devices_[device];
  if (shape >= target.times.size()) target.times.resize(shape + 1U);
  target.times[shape].set(points);
  order_by_speed();
}

void BaselinePolicy::order_by_speed() {
  const auto rate = [this](DeviceId id) {
    double best = 0;
    for (const BatchTimes& times : devices_[id].times) {
      if (!times.known()) continue;
      const int batch = devices_[id].max_batch;
      best = std::max(best, batch / static_cast<double>(times[batch].count()));
    }
    return best;
  };
  fastest_first_.resize(devices_.size());
  std::iota(fastest_first_.begin(), fastest_first_.end(), DeviceId{0});
  std::stable_sort(fastest_first_.begin(), fastest_first_.end(),
                   [&](DeviceId a, DeviceId b) { return rate(a) > rate(b); });
}

void BaselinePolicy::set_camera(const CameraSpec&, TimePoint) {}

void BaselinePolicy::remove_camera(CameraId camera, TimePoint) {
  drops_.clear();
  forget(camera);
  pending_drops_.insert(pending_drops_.end(), drops_.begin(), drops_.end());
}

void BaselinePolicy::on_completion(const Completion& completion, TimePoint now) {
  std::vector<Started>& started = started_[completion.device];
  const auto found = std::find_if(started.begin(), started.end(),
                                  [&](const Started& entry) { return entry.batch == completion.batch; });
  GANTRY_EXPECTS(found != started.end(), "complete only batches that were launched, once");
  if (completion.status == BatchStatus::kOk) observe(completion.device, found->shape, found->size, now - found->at);
  started.erase(found);
  if (completion.status != BatchStatus::kTimeout) --devices_[completion.device].running;
}

void BaselinePolicy::on_device_state(DeviceId device, DeviceState state, TimePoint) {
  devices_[device].up = state == DeviceState::kUp;
}

void BaselinePolicy::on_input_closed(TimePoint) {
  closed_ = true;
}

void BaselinePolicy::observe(DeviceId, ShapeId, int, Duration) {}

Decision BaselinePolicy::decide(TimePoint now) {
  drops_.swap(pending_drops_);
  pending_drops_.clear();
  batch_.clear();
  tickets_.clear();
  wait_until_ = kNever;
  Decision decision;
  for (const DeviceId id : fastest_first_) {
    if (!devices_[id].idle()) continue;
    const std::optional<ShapeId> shape = form(id, now);
    if (!shape) continue;
    for (const Arrival& arrival : batch_) tickets_.push_back(arrival.frame);
    ++devices_[id].running;
    started_[id].push_back({next_batch_, *shape, static_cast<int>(batch_.size()), now});
    const Duration takes = devices_[id].times[*shape][static_cast<int>(batch_.size())];
    decision.launch = Launch{next_batch_++, id, *shape, tickets_, now + takes};
    break;
  }
  decision.drops = drops_;
  decision.wait_until = wait_until_;
  return decision;
}

}  // namespace gantry::scheduler::sim
