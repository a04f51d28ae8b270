#include "gantry/scheduler/sim/device_model.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/core/expects.hpp"
#include "gantry/scheduler/sim/random.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr double kStallSpeed = 0.1;
constexpr double kLongestDeadlineS = 61;  // what runs when the arrivals end still meets noise
constexpr std::uint64_t kDeviceStreams = 1ULL << 40U;

VirtualNs slot_of(double seconds) {
  return std::llround(seconds * 1e9 / static_cast<double>(DeviceModel::kSlotNs));
}

}  // namespace

DeviceModel::DeviceModel(const Scenario& scenario, int device, std::uint64_t seed) {
  GANTRY_EXPECTS(device >= 0 && device < static_cast<int>(scenario.devices.size()), "name a device of the scenario");
  const DeviceSetup& setup = scenario.devices[device];
  max_batch_ = setup.table.max_batch();
  for (const ShapeSpec& shape : scenario.shapes) {
    std::vector<double>& costs = cost_ns_.emplace_back(max_batch_ + 1, 0.0);
    for (int batch = 1; batch <= max_batch_; ++batch) costs[batch] = setup.table.at_ms(batch) * shape.cost * 1e6;
  }

  Random random(seed, kDeviceStreams + device);
  speed_.resize(slot_of(scenario.duration_s + kLongestDeadlineS) + 1);
  for (float& speed : speed_) {
    const double varied = 1 + setup.noise * random.normal();
    const bool stalled = random.uniform() < setup.stall_share;
    speed = static_cast<float>(stalled ? kStallSpeed : varied);
  }
  for (const DeviceEvent& event : scenario.events) {
    if (event.device != device) continue;
    const VirtualNs begin = slot_of(event.at_s);
    const VirtualNs end = std::min<VirtualNs>(slot_of(event.at_s + event.for_s), speed_.size());
    const bool fault = event.kind == DeviceEvent::Kind::kFault;
    for (VirtualNs slot = begin; slot < end; ++slot) speed_[slot] /= static_cast<float>(event.factor);
    if (fault && end > begin) {
      std::fill(speed_.begin() + begin, speed_.begin() + end, 0.0F);
      faults_.emplace_back(begin * kSlotNs, end * kSlotNs);
    }
  }
  std::sort(faults_.begin(), faults_.end());
  for (std::size_t i = 1; i < faults_.size();) {
    if (faults_[i].first > faults_[i - 1].second) {
      ++i;
      continue;
    }
    faults_[i - 1].second = std::max(faults_[i - 1].second, faults_[i].second);
    faults_.erase(faults_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  work_.resize(speed_.size() + 1);
  for (std::size_t slot = 0; slot < speed_.size(); ++slot) {
    work_[slot + 1] = work_[slot] + static_cast<double>(speed_[slot]) * static_cast<double>(kSlotNs);
    fastest_ = std::max(fastest_, static_cast<double>(speed_[slot]));
  }
}

VirtualNs DeviceModel::finish(VirtualNs start, double cost_ns) const noexcept {
  VirtualNs at = start;
  double left = cost_ns;
  for (auto slot = static_cast<std::size_t>(start / kSlotNs); slot < speed_.size(); ++slot) {
    const VirtualNs slot_end = static_cast<VirtualNs>(slot + 1) * kSlotNs;
    const double here = static_cast<double>(speed_[slot]) * static_cast<double>(slot_end - at);
    if (here >= left) return at + std::llround(left / static_cast<double>(speed_[slot]));
    left -= here;
    at = slot_end;
  }
  return at + std::llround(left);
}

double DeviceModel::work_by(VirtualNs at) const noexcept {
  const auto slot = static_cast<std::size_t>(at / kSlotNs);
  if (slot >= speed_.size()) {
    return work_.back() + static_cast<double>(at - static_cast<VirtualNs>(speed_.size()) * kSlotNs);
  }
  return work_[slot] + static_cast<double>(speed_[slot]) * static_cast<double>(at % kSlotNs);
}

std::vector<DeviceModel> make_devices(const Scenario& scenario, std::uint64_t seed) {
  std::vector<DeviceModel> devices;
  for (std::size_t i = 0; i < scenario.devices.size(); ++i) {
    devices.emplace_back(scenario, static_cast<int>(i), seed);
  }
  return devices;
}

}  // namespace gantry::scheduler::sim
