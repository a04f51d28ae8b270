#pragma once
// The world's state, shared by the files that move it: traffic_follow.cpp (car-following and lane changes),
// traffic_junction.cpp (lights and right of way), traffic_foot.cpp (people), traffic_demand.cpp (who appears, and
// incidents), world.cpp (the clock).
#include <array>
#include <deque>
#include <vector>

#include "scene/world.hpp"

namespace gantry::scene {

inline constexpr double kStepSeconds = 0.001;
inline constexpr int kDecisionSteps = 50;
inline constexpr double kHardBraking = 8.5;  // m/s^2, what a car can do on a dry road; bounds every safe speed

struct Vehicle {
  std::uint32_t id = 0;
  BodyKind kind = BodyKind::kSedan;
  std::uint32_t look = 0;
  bool alive = false;
  // Where.
  int lane = 0;
  int previous = -1;  ///< the lane before, under the body's tail; -1 where it began here
  int before_previous = -1;
  double s = 0;       ///< front bumper, metres along `lane`
  double v = 0;       ///< m/s
  double a = 0;       ///< m/s^2
  double side = 0;    ///< lateral position in the lane, metres to the right
  double rolled = 0;  ///< metres since it appeared
  // Lane change: from `other` to `lane`; both lists hold it meanwhile.
  int other = -1;
  double change = 1;       ///< progress 0…1
  double change_side = 0;  ///< metres from `lane` to `other`, to the right
  std::int64_t next_change_ms = 0;
  // The driver.
  double wish = 1;       ///< share of the speed limit
  double top = 60;       ///< m/s
  double headway = 1.4;  ///< seconds
  double gap = 2;        ///< metres, standing
  double accel = 1.4;    ///< m/s^2
  double brake = 2.0;    ///< m/s^2, comfortable
  // The way.
  int turn = -1;     ///< connector's lane to take at the end of `lane`; -1: the only one
  int granted = -1;  ///< connector that it has leave for
  // Incidents.
  bool runs_red = false;
  bool speeds = false;
  bool told_speed = false;
  bool wrong_way = false;
  double stop_at = -1;  ///< metres along `stop_lane`
  int stop_lane = -1;
  std::int64_t stands_until_ms = -1;
};

struct Walker {
  std::uint32_t id = 0;
  std::uint32_t look = 0;
  int footway = 0;
  std::size_t segment = 0;
  double along = 0;  ///< metres in the segment
  double speed = 1.35;
  double v = 0;
  double side = 0;  ///< metres beside the line
  double walked = 0;
  Vec2 at;
  double heading = 0;
};

/// Somebody who has leave to cross a junction on this connector, until the rear has left it.
struct Grant {
  int vehicle = 0;
};

struct EntryState {
  std::int64_t next_ms = 0;  ///< arrival of the next vehicle
  int waiting = 0;           ///< arrived and not yet on the road
};

struct IncidentState {
  IncidentRequest request;
  int phase = 0;  ///< 0 waiting, 1 under way, 2 over
  int vehicle = -1;
  std::uint32_t object = 0;
  std::int64_t since_ms = 0;
  bool told = false;
};

struct World::State {
  explicit State(const WorldOptions& options);

  WorldOptions options;
  Network net;
  Rng rng;
  std::int64_t now_ms = 0;
  std::uint32_t next_id = 1;
  std::vector<Vehicle> vehicles;  ///< slots, reused
  std::vector<int> free_slots;
  std::vector<std::vector<int>> on_lane;  ///< a lane's vehicles, the foremost first
  std::vector<std::vector<int>> grants;   ///< a connector's holders, in order of leave
  std::vector<char> closed;               ///< lanes that nobody may enter
  std::vector<Walker> walkers;
  std::vector<char> people_wait;  ///< a crosswalk has somebody at the kerb who may go
  std::vector<EntryState> entries;
  std::int64_t next_walker_ms = 0;
  double demand = 1;
  std::vector<IncidentState> incidents;
  double bottleneck_speed = -1;  ///< m/s at the end of the slowed lanes; below 0: none
  std::vector<char> slowed;      ///< the bottleneck's lane and those to its left
  std::vector<ObjectState> parked;
  std::vector<SignalState> signals;
  std::vector<WorldEvent> events;
  WorldCounts counts;

  void step();

  // traffic_follow.cpp
  void follow();
  void move();
  void change_lanes();
  [[nodiscard]] double accelerate(const Vehicle& v, double limit, double gap, double leader_speed) const noexcept;
  [[nodiscard]] double speed_limit(const Vehicle& v, int lane) const noexcept;
  [[nodiscard]] int next_lane(const Vehicle& v) const noexcept;
  void insert(int slot, int lane);
  void erase(int slot, int lane);
  void remove(int slot);

  // traffic_junction.cpp
  void update_signals();
  void decide_junctions();
  [[nodiscard]] bool may_enter(int slot, int connector) const;
  /// Front bumper of a holder along the connector; negative before the stop line.
  [[nodiscard]] double along(const Vehicle& v, int connector) const noexcept;

  // traffic_foot.cpp
  void walk();

  // traffic_demand.cpp
  [[nodiscard]] double by_demand() const noexcept;
  void demand_step();
  bool appear(const Entry& entry);
  int place(BodyKind kind, int lane, double s, double v, std::uint64_t look);
  void play_incidents();

  [[nodiscard]] Vec2 behind(const Vehicle& v, double distance) const noexcept;
  [[nodiscard]] Footprint ground(const Vehicle& v) const noexcept;
  void tell(EventKind kind, std::string what, const Vehicle* v, SignalState signal = SignalState::kRed);
};

}  // namespace gantry::scene
