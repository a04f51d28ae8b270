#pragma once
// Looks after the scheduler once a second, away from every frame's path: tells it the time of day and how much memory
// is in use, keeps its load profile across restarts, warns of demand that will not fit, has batch profiles measured
// anew before a rush needs them, says when a breaker or the degrade ladder moves, and hands the report on.
#include <array>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "gantry/app/machine.hpp"
#include "gantry/app/system.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/scheduler/dispatcher.hpp"

namespace gantry::app {

/// What each class of cameras leaves undecoded. A level is raised at once and lowered only after kHold, so that frames
/// that are not made any more do not look like demand that has gone.
class SkipPlan {
 public:
  static constexpr Duration kHold = std::chrono::seconds{10};
  using Levels = std::array<media::SkipLevel, kPriorityCount>;
  /// By degrade step and early shedding: background cameras decode key frames only as soon as either gives up most of
  /// them, normal cameras leave out pictures that no other needs while they run at a lower rate.
  [[nodiscard]] const Levels& update(const scheduler::PolicyReport& report, TimePoint now);

 private:
  Levels levels_{};
  std::array<TimePoint, kPriorityCount> wanted_until_{};
};

class LoadWatch {
 public:
  struct Parts {
    std::function<scheduler::WallTime()> wall_time;
    std::function<MemoryUse()> memory;
    std::function<void()> measure_again;  ///< batch profiles; returns at once
    std::function<void(const scheduler::PolicyReport&, TimePoint)> on_report;
    LogFn log;
    std::filesystem::path profile;  ///< where the load profile is kept; empty: nowhere
  };
  static constexpr Duration kTick = std::chrono::seconds{1};
  static constexpr Duration kSlowTick = std::chrono::minutes{1};       ///< wall clock, forecast, GPU memory
  static constexpr Duration kSaveEvery = std::chrono::minutes{15};     ///< of the load profile
  static constexpr Duration kMeasureEvery = std::chrono::minutes{30};  ///< at most, before a rush
  static constexpr double kQuiet = 0.5;                                ///< load up to which a device may be measured

  /// Restores the profile; one that is damaged is reported and replaced in time. Starts no thread.
  LoadWatch(scheduler::Dispatcher& dispatcher, Parts parts, TimePoint now);
  /// Stops, and saves the profile.
  ~LoadWatch();
  LoadWatch(const LoadWatch&) = delete;
  LoadWatch& operator=(const LoadWatch&) = delete;

  /// Calls tick() every second.
  void start(const Clock& clock);
  void stop() noexcept;
  void tick(TimePoint now);

 private:
  void restore();
  void save() noexcept;
  void look_ahead(const scheduler::PolicyReport& report, TimePoint now);
  void say_changes(const scheduler::PolicyReport& report);

  scheduler::Dispatcher& dispatcher_;
  const Parts parts_;
  TimePoint next_slow_;
  TimePoint next_save_;
  std::optional<TimePoint> measured_;
  std::optional<int> warned_peak_;  // second of the day
  bool warned_soon_ = false;
  bool shedding_ = false;
  int step_ = 0;
  std::map<scheduler::DeviceId, std::string> breakers_;
  std::string saved_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

/// Local time of day.
[[nodiscard]] scheduler::WallTime local_wall_time();

}  // namespace gantry::app
