#pragma once
// What the simulator is asked to play: cameras, devices and what happens to them, read from a YAML file
// (docs/scheduler.md lists every key). Plain data; immutable once loaded.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/priority.hpp"

namespace gantry::scheduler::sim {

/// Measured or given t(batch), in ms, at the points (batch, ms) in rising order of both; linear in between.
/// The first point is batch 1 and the last is the largest batch that the device takes.
struct LatencyTable {
  std::string name;
  std::vector<std::pair<int, double>> points_ms;

  [[nodiscard]] int max_batch() const noexcept { return points_ms.back().first; }
  /// @pre 1 <= batch <= max_batch()
  [[nodiscard]] double at_ms(int batch) const noexcept;
};

/// The two tables that every comparison uses: "h100" and "slow". @throws ConfigError for another name.
[[nodiscard]] const LatencyTable& fixed_table(const std::string& name);

struct ShapeSpec {
  std::string name;  ///< "640x384"
  int width = 640;   ///< pixels
  int height = 384;  ///< pixels
  double cost = 1;   ///< multiplies the latency table, 0.05…20
};

struct DeviceSetup {
  LatencyTable table;
  /// Standard deviation of the device's speed around 1, drawn anew every SpeedProfile::kSlot; 0…0.3.
  double noise = 0;
  /// Share of those slots in which the device runs at a tenth of its speed; 0…0.1.
  double stall_share = 0;
};

enum class ArrivalProcess : std::uint8_t { kPeriodic, kPoisson, kBursty };
enum class PhaseRule : std::uint8_t { kRandom, kAligned, kSpread };

struct CameraGroup {
  int count = 1;
  double fps_low = 30, fps_high = 30;  ///< each camera's rate, drawn log-uniformly in between
  ArrivalProcess process = ArrivalProcess::kPeriodic;
  PhaseRule phase = PhaseRule::kRandom;
  double jitter_ms = 0;  ///< standard deviation of each frame's delay around its period; cut at 3 of them
  Priority priority = Priority::kNormal;
  double deadline_ms = 100;
  double weight = 1;
  double urgent_share = 0;         ///< share of the frames, drawn at random, that are urgent instead
  double urgent_deadline_ms = 20;  ///< of those
  /// kBursty: the whole group sends at fps * burst_factor for exponential times of mean burst_on_s, and in between,
  /// for exponential times of mean burst_off_s, at the rate that keeps the mean at fps.
  double burst_factor = 1, burst_on_s = 1, burst_off_s = 1;
  /// Share of the group's cameras that send, as (second, share), linear in between; empty: all, always.
  std::vector<std::pair<double, double>> activity;
  /// (index into Scenario::shapes, share of the group's cameras); shares sum to 1.
  std::vector<std::pair<int, double>> shapes{{0, 1.0}};
};

struct DeviceEvent {
  enum class Kind : std::uint8_t { kSlowDown, kFault };
  Kind kind = Kind::kSlowDown;
  int device = 0;
  double at_s = 0;
  double for_s = 0;
  double factor = 1;  ///< kSlowDown: how many times slower
};

/// A scenario on one set of devices. One file may hold several: the same traffic, scaled, on other hardware.
struct Scenario {
  std::string name;   ///< "rush-hour"
  std::string setup;  ///< "h100"; the devices and the scale of the traffic
  std::string about;  ///< one sentence
  double duration_s = 60;
  bool urgent_cap = false;  ///< some frames are urgent: the bound is also stated under the urgent cap
  bool device_fault = false;
  std::vector<ShapeSpec> shapes;
  std::vector<DeviceSetup> devices;
  std::vector<CameraGroup> cameras;
  std::vector<DeviceEvent> events;
  std::filesystem::path trace;  ///< recorded arrivals instead of `cameras`; empty for none

  [[nodiscard]] std::string full_name() const { return name + "/" + setup; }
};

enum class Length : std::uint8_t {
  kFull,   ///< as the file says
  kShort,  ///< `short_duration_s`, with the times of events and activity scaled alike; for tests
};

/// Every setup of one file, in its order. @throws ConfigError naming file, line, key, value and the allowed range.
[[nodiscard]] std::vector<Scenario> load_scenarios(const std::filesystem::path& file, Length length = Length::kFull);

/// The same from text; `name` stands for the file in messages. Relative trace paths are relative to its folder.
[[nodiscard]] std::vector<Scenario> parse_scenarios(const std::string& text, const std::filesystem::path& name,
                                                    Length length = Length::kFull);

}  // namespace gantry::scheduler::sim
