#pragma once
// The traffic of one scene: vehicles that follow each other (IDM), change lanes (MOBIL), obey or run lights and give
// way at conflict points, and people on foot. One step is one millisecond, whatever the frame rate; drivers decide
// about gaps, lanes and lights every 50 steps. Same options, same bytes, on every machine (det_math.hpp).
//
// Two solid vehicles never overlap: inside a lane nobody moves further than the bumper ahead, and a junction is entered
// only with leave, which is given when every conflict zone of the way through is free of everybody who has leave for a
// crossing way (Connector::conflicts, found from the swept area of the largest vehicle).
//
// Used by one thread at a time. Car-following: Treiber, Hennecke, Helbing 2000; safe speed: Krauss 1998; lane changes:
// Kesting, Treiber, Helbing 2007.
#include <cstdint>
#include <string>
#include <vector>

#include "gantry/scene/options.hpp"
#include "scene/body.hpp"
#include "scene/network.hpp"

namespace gantry::scene {

enum class EventKind : std::uint8_t { kCrossing, kSignal, kViolation };

/// Something that happened, with the moment at which it did.
struct WorldEvent {
  std::int64_t at_ms = 0;
  EventKind kind = EventKind::kCrossing;
  std::string what;          ///< line or signal group, or the violation's name
  std::uint32_t object = 0;  ///< 0: none
  BodyKind body = BodyKind::kSedan;
  int lane = -1;
  double speed = 0;  ///< m/s
  SignalState signal = SignalState::kRed;
};

/// Whatever moves (or is parked), at one moment.
struct ObjectState {
  std::uint32_t id = 0;  ///< 1, 2, 3 … in the order of appearance
  BodyKind kind = BodyKind::kSedan;
  std::uint32_t look = 0;  ///< draws colour and details
  float x = 0, y = 0;      ///< centre of the body on the road plane, metres
  float heading = 0;       ///< radians
  float speed = 0;         ///< m/s
  float stride = 0;        ///< metres walked or rolled, for legs and wheels
  int lane = -1;           ///< index into Network::lanes; -1: on foot
  bool braking = false;
  std::int8_t indicator = 0;  ///< -1 right, +1 left, +2 both
};

/// Everything visible at one moment; objects in rising order of id.
struct Snapshot {
  std::int64_t at_ms = 0;
  std::vector<ObjectState> objects;
  std::vector<SignalState> signals;
};

/// The moment `at_ms` (fractions allowed) between two snapshots of one world. Reuses `out`'s memory.
void interpolate(const Snapshot& a, const Snapshot& b, double at_ms, Snapshot& out);

/// What passed over everything since the start, for the fundamental diagram and tests.
struct WorldCounts {
  std::uint64_t spawned = 0, left = 0, lane_changes = 0, people = 0;
};

class World {
 public:
  /// Builds the roads and runs `warm_up_s` seconds of traffic, after which the clock reads 0.
  explicit World(const WorldOptions& options, double warm_up_s = 75);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Steps of one millisecond up to `at_ms`; does nothing where that is past.
  void advance_to(std::int64_t at_ms);
  [[nodiscard]] std::int64_t now_ms() const noexcept;
  void snapshot(Snapshot& out) const;
  /// Hands over what happened since the last call.
  void take_events(std::vector<WorldEvent>& out);
  [[nodiscard]] const Network& network() const noexcept;
  [[nodiscard]] const WorldCounts& counts() const noexcept;
  /// Pairs of vehicles whose bodies share ground now. Always empty; the tests look.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> overlaps() const;

 private:
  struct State;
  State* state_;
};

}  // namespace gantry::scene
