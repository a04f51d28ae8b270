#pragma once
// Which device is home to which camera, where cameras decode on cards: its decoders decode there and its frames run
// there only. The scheduler's policy says which device has room; this class takes cameras there and away again, when a
// device fails, drains, opens its breaker or comes back; and from a card whose decoders are full to idle cores and
// back. Thread-safe.
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "app/live_camera.hpp"
#include "app/spill_plan.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/scheduler/dispatcher.hpp"

namespace gantry::app {

class Homes {
 public:
  using Cameras = std::function<std::vector<std::shared_ptr<LiveCamera>>()>;

  /// @param used cameras decode on cards; otherwise nothing is ever moved
  Homes(scheduler::Dispatcher& dispatcher, std::vector<engine::Backend*> backends, std::vector<std::string> names,
        bool used, Cameras cameras, LogFn log);

  /// Before the camera starts.
  void enter(LiveCamera& camera);
  /// The camera's frames have begun to lie somewhere else.
  void placed(const LiveCamera& camera);
  /// Looks for devices that have failed or come back, and moves cameras. Once a second and after every change of a
  /// device's state.
  void settle();
  /// Once a second. @param decoders share of the last second in which each device's decoders worked; nothing where that
  /// is not known
  void spill(const std::vector<std::optional<double>>& decoders, double cores, TimePoint now);
  [[nodiscard]] std::string home_of(const LiveCamera& camera) const;

 private:
  [[nodiscard]] std::vector<bool> usable();
  [[nodiscard]] int emptiest(const std::vector<bool>& usable) const;

  scheduler::Dispatcher& dispatcher_;
  const std::vector<engine::Backend*> backends_;
  const std::vector<std::string> names_;
  const bool used_;
  const Cameras cameras_;
  const LogFn log_;

  mutable std::mutex mutex_;  ///< what follows, and one look for homes at a time
  std::vector<bool> usable_;
  std::vector<bool> failed_;
  std::vector<SpillPlan> plans_;
  std::map<CameraId, int> spilled_;  ///< to the card whose decoders they left
};

}  // namespace gantry::app
