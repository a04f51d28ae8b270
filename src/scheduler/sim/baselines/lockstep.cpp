#include <algorithm>

#include "gantry/scheduler/sim/policies.hpp"
#include "scheduler/sim/baselines/baseline.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr Duration kFrameTime{33'333'333};

class Lockstep final : public BaselinePolicy {
 public:
  Lockstep() : BaselinePolicy("lockstep") {}

  void on_arrival(const Arrival& arrival, TimePoint) override {
    Slot& slot = slot_of(arrival);
    Group& group = groups_[slot.group];
    if (slot.full) {
      superseded_.push_back(slot.frame.frame);
    } else {
      ++group.full;
      if (group.full == 1) group.first_at = arrival.captured_at;
    }
    slot.full = true;
    slot.frame = arrival;
  }

 private:
  struct Slot {
    std::size_t group = 0;
    bool full = false;
    Arrival frame;
  };
  struct Group {
    ShapeId shape = 0;
    std::vector<CameraId> cameras;
    int full = 0;          ///< of its slots
    TimePoint first_at{};  ///< when the first of them was filled
  };

  /// A camera joins the last group of its shape that has a place.
  Slot& slot_of(const Arrival& arrival) {
    if (arrival.camera >= slots_.size()) {
      slots_.resize(arrival.camera + 1U);
      known_.resize(slots_.size());
    }
    if (!known_[arrival.camera]) {
      known_[arrival.camera] = true;
      std::size_t group = groups_.size();
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        if (groups_[g].shape == arrival.shape && groups_[g].cameras.size() < group_size()) group = g;
      }
      if (group == groups_.size()) groups_.push_back({.shape = arrival.shape});
      groups_[group].cameras.push_back(arrival.camera);
      slots_[arrival.camera].group = group;
    }
    return slots_[arrival.camera];
  }

  /// What every device can take.
  [[nodiscard]] std::size_t group_size() const {
    int size = kMaxBatch;
    for (std::size_t d = 0; d < device_count(); ++d) {
      size = std::min(size, device(static_cast<DeviceId>(d)).max_batch);
    }
    return static_cast<std::size_t>(size);
  }

  std::optional<ShapeId> form(DeviceId id, TimePoint now) override {
    for (const FrameTicket frame : superseded_) drop(frame, Outcome::kSuperseded);
    superseded_.clear();
    for (std::size_t turn = 0; turn < groups_.size(); ++turn) {
      const std::size_t index = (next_ + turn) % groups_.size();
      Group& group = groups_[index];
      if (group.full == 0 || !device(id).runs(group.shape)) continue;
      const TimePoint due = group.first_at + kFrameTime;
      const bool complete = static_cast<std::size_t>(group.full) == group.cameras.size();
      if (!complete && now < due && !closed()) {
        wait_until(due);
        continue;
      }
      for (const CameraId camera : group.cameras) {
        Slot& slot = slots_[camera];
        if (slot.full) batch_.push_back(slot.frame);
        slot.full = false;
      }
      group.full = 0;
      next_ = index + 1;
      return group.shape;
    }
    return std::nullopt;
  }

  void forget(CameraId camera) override {
    if (camera >= slots_.size() || !known_[camera]) return;
    Slot& slot = slots_[camera];
    Group& group = groups_[slot.group];
    if (slot.full) {
      drop(slot.frame.frame, Outcome::kCameraRemoved);
      --group.full;
    }
    std::erase(group.cameras, camera);
    slot = {};
    known_[camera] = false;
  }

  std::vector<Slot> slots_;  ///< by camera
  std::vector<bool> known_;  ///< by camera: is in a group
  std::vector<Group> groups_;
  std::vector<FrameTicket> superseded_;
  std::size_t next_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_lockstep() {
  return std::make_unique<Lockstep>();
}

}  // namespace gantry::scheduler::sim
