#include "app/homes.hpp"

#include <algorithm>
#include <cstdlib>

namespace gantry::app {

Homes::Homes(scheduler::Dispatcher& dispatcher, std::vector<engine::Backend*> backends, std::vector<std::string> names,
             bool used, Cameras cameras, LogFn log)
    : dispatcher_(dispatcher),
      backends_(std::move(backends)),
      names_(std::move(names)),
      used_(used),
      cameras_(std::move(cameras)),
      log_(std::move(log)),
      usable_(backends_.size(), true),
      failed_(backends_.size(), false),
      plans_(backends_.size()) {}

/// What the policy would give cameras to. A device that is lost for good is told of once and taken out.
std::vector<bool> Homes::usable() {
  for (std::size_t i = 0; i < backends_.size(); ++i) {
    if (failed_[i] || !backends_[i]->failed()) continue;
    failed_[i] = true;
    dispatcher_.set_device_state(static_cast<scheduler::DeviceId>(i), scheduler::DeviceState::kDown);
    log_(Severity::kError, names_[i] + ": the device is lost; its cameras move where they can");
  }
  std::vector<bool> now(backends_.size(), false);
  for (const auto& device : dispatcher_.report().devices)
    if (device.id < now.size())
      now[device.id] = device.state == scheduler::DeviceState::kUp && device.breaker == "closed";
  return now;
}

/// Of those that can be used, the home of the fewest cameras; before any shape is ready the policy has no home to give.
int Homes::emptiest(const std::vector<bool>& usable) const {
  std::vector<int> count(backends_.size(), 0);
  for (const auto& camera : cameras_())
    if (camera->place() >= 0) ++count[static_cast<std::size_t>(camera->place())];
  int best = System::kOnCpu;
  for (std::size_t i = 0; i < usable.size(); ++i)
    if (usable[i] && (best < 0 || count[i] < count[static_cast<std::size_t>(best)])) best = static_cast<int>(i);
  return best;
}

void Homes::enter(LiveCamera& camera) {
  dispatcher_.set_camera(camera.free_spec());
  if (!used_) return;
  const std::lock_guard lock{mutex_};
  const scheduler::DeviceId home = dispatcher_.home_of(camera.number());
  camera.move_to(home != scheduler::kNoDevice ? home : emptiest(usable()));
}

void Homes::placed(const LiveCamera& camera) {
  const std::lock_guard lock{mutex_};
  dispatcher_.set_camera(camera.spec());
}

void Homes::settle() {
  const std::lock_guard lock{mutex_};
  const std::vector<bool> now = usable();
  bool back = false;
  for (std::size_t i = 0; i < now.size(); ++i) back = back || (now[i] && !usable_[i]);
  usable_ = now;
  if (!used_) return;
  std::vector<int> moved(backends_.size(), 0);
  for (const auto& camera : cameras_()) {
    const int place = camera->place();
    const bool at_home = place >= 0 && now[static_cast<std::size_t>(place)];
    if (place < 0 || (at_home && !back)) continue;  // on the CPU by somebody's decision, or well where it is
    dispatcher_.set_camera(camera->free_spec());
    const scheduler::DeviceId home = dispatcher_.home_of(camera->number());
    if (home == scheduler::kNoDevice || home == place) {
      dispatcher_.set_camera(camera->spec());
      continue;
    }
    camera->move_to(home);
    ++moved[home];
  }
  for (std::size_t i = 0; i < moved.size(); ++i)
    if (moved[i] > 0) log_(Severity::kWarning, std::to_string(moved[i]) + " cameras move to " + names_[i]);
}

void Homes::spill(const std::vector<std::optional<double>>& decoders, double cores, TimePoint now) {
  if (!used_) return;
  using media::DecodeReason;
  const std::lock_guard lock{mutex_};
  struct Group {
    std::vector<std::shared_ptr<LiveCamera>> on_card, on_cpu;
  };
  std::vector<Group> groups(backends_.size());
  std::map<CameraId, int> still_spilled;
  for (auto& camera : cameras_()) {
    if (auto spilled = spilled_.find(camera->number()); spilled != spilled_.end()) {
      auto [number, card] = *spilled;
      if (!usable_[static_cast<std::size_t>(card)]) card = emptiest(usable_);
      if (card < 0) continue;  // nowhere to go back to
      still_spilled[number] = card;
      groups[static_cast<std::size_t>(card)].on_cpu.push_back(std::move(camera));
      continue;
    }
    if (camera->place() < 0) continue;
    Group& group = groups[static_cast<std::size_t>(camera->place())];
    const auto counters = camera->counters();
    if (counters.decoded_on == media::DecodePlace::kGpu)
      group.on_card.push_back(std::move(camera));
    else if (counters.decoded_there == DecodeReason::kSaturated ||
             counters.decoded_there == DecodeReason::kSessionsUsedUp ||
             counters.decoded_there == DecodeReason::kMemoryUsedUp)
      group.on_cpu.push_back(std::move(camera));
  }
  spilled_ = std::move(still_spilled);

  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto& [on_card, on_cpu] = groups[i];
    if (!decoders[i] || !usable_[i]) continue;
    const int move =
        plans_[i].update({*decoders[i], cores, static_cast<int>(on_card.size()), static_cast<int>(on_cpu.size())}, now);
    if (move == 0) continue;
    // The least important ones leave, and come back last.
    auto& from = move > 0 ? on_card : on_cpu;
    std::stable_sort(from.begin(), from.end(), [move](const auto& a, const auto& b) {
      const auto x = a->config().priority, y = b->config().priority;
      return move > 0 ? x > y : x < y;
    });
    for (int n = 0; n < std::abs(move); ++n) {
      LiveCamera& camera = *from[static_cast<std::size_t>(n)];
      if (move > 0) {
        spilled_[camera.number()] = static_cast<int>(i);
        camera.spill();
      } else if (spilled_.erase(camera.number()) > 0) {
        camera.move_to(static_cast<int>(i));
      } else {
        camera.choose_again();
      }
    }
    log_(Severity::kInfo, names_[i] + (move > 0 ? ": its decoders are full; " : ": its decoders have room; ") +
                              std::to_string(std::abs(move)) +
                              (move > 0 ? " cameras go on on the CPU" : " cameras come back from the CPU"));
  }
}

std::string Homes::home_of(const LiveCamera& camera) const {
  const int place = used_ ? camera.place() : System::kOnCpu;
  return place < 0 ? std::string{} : names_[static_cast<std::size_t>(place)];
}

}  // namespace gantry::app
