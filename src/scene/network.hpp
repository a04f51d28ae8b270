#pragma once
// Roads as lanes: where they lie, what follows what, who must wait for whom. Built once a scene, read-only afterwards.
#include <cstdint>
#include <string>
#include <vector>

#include "scene/det_math.hpp"

namespace gantry::scene {

struct Pose {
  Vec2 at;
  double heading = 0;  ///< radians, counter-clockwise from +x (east)
};

/// A line sampled every kSampleStep metres; position is interpolated in between and extrapolated straight beyond.
class Path {
 public:
  static constexpr double kSampleStep = 0.5;
  Path() = default;
  /// Starts a path; straight() and arc() lengthen it.
  Path(Vec2 start, double heading);
  Path& straight(double length);
  /// Positive angles turn left.
  Path& arc(double radius, double angle);
  /// Resamples what was drawn. Must be called before pose().
  Path& finish();

  [[nodiscard]] Pose pose(double s) const noexcept;
  [[nodiscard]] double length() const noexcept { return length_; }
  /// The same line, `offset` metres to the right, with the arc length of this one (for lanes side by side).
  [[nodiscard]] Path beside(double offset) const;
  [[nodiscard]] Path reversed() const;

 private:
  struct Piece {
    Pose start;
    double length = 0;
    double curvature = 0;  ///< 1/m, positive to the left
  };
  std::vector<Piece> pieces_;
  std::vector<Pose> samples_;
  double length_ = 0;
};

enum class LaneUse : std::uint8_t { kVehicles, kBicycles, kWrongWay };

struct Lane {
  int id = 0;
  std::string name;  ///< as in the truth: "east-in-1", "north-out-0", "east-left"
  Path path;
  double speed_limit = 13.9;  ///< m/s
  double width = 3.5;         ///< metres
  LaneUse use = LaneUse::kVehicles;
  int left = -1;          ///< the lane beside it in the same direction with the same arc length, for changing; -1: none
  int right = -1;         ///< the same on the right
  int connector = -1;     ///< index into Network::connectors where this lane crosses a junction
  std::vector<int> next;  ///< lanes that follow
  bool keep_clear = true;  ///< vehicles enter a junction only when this lane has room for them (exits)
};

/// Where somebody on one connector would touch somebody on another (front bumper positions, metres along each).
struct Conflict {
  int other = 0;                            ///< connector
  double enter = 0, leave = 0;              ///< on this one
  double other_enter = 0, other_leave = 0;  ///< on the other
  bool yields = false;                      ///< this one waits for oncoming traffic of the other even where both may go
};

struct CrosswalkZone {
  int crosswalk = 0;
  double enter = 0, leave = 0;            ///< front bumper positions between which a body covers the crosswalk
  double from_across = 0, to_across = 0;  ///< the strip that the body takes, metres along the crosswalk
};

/// A lane through a junction.
struct Connector {
  int lane = 0;
  int from = 0;
  int to = 0;
  int signal = -1;  ///< index into Network::signals; -1: none, priority by `yields`
  std::vector<Conflict> conflicts;
  std::vector<std::pair<int, double>> siblings;  ///< same origin: connector and where the two have parted
  std::vector<CrosswalkZone> crosswalks;
};

enum class SignalState : std::uint8_t { kGreen, kYellow, kRed };

/// Lights that show the same colour together.
struct SignalGroup {
  std::string name;                                    ///< "ns-through", "ew-left", …
  double green_from = 0, green_to = 0, yellow_to = 0;  ///< seconds into the cycle; red otherwise
};

struct Crosswalk {
  std::string name;
  Vec2 from, to;                      ///< kerb to kerb, centre line
  double width = 3.5;                 ///< metres
  double walk_from = 0, walk_to = 0;  ///< seconds into the cycle in which people may start; both 0: any time
};

/// A way for people on foot: pavements, and crosswalks between them.
struct Footway {
  std::vector<Vec2> points;
  std::vector<int> crosswalk;  ///< one a segment: the crosswalk that it is, or -1
};

struct Entry {
  int lane = 0;                                 ///< where vehicles appear
  double peak_rate = 0;                         ///< vehicles an hour at density 1 in the peak hour
  std::vector<std::pair<int, double>> choices;  ///< next lane (connector's) and its share
};

/// Where vehicles are counted; stop lines are among them.
struct CountLine {
  std::string name;
  int lane = 0;
  double at = 0;  ///< metres along the lane
};

struct Network {
  std::vector<Lane> lanes;
  std::vector<Connector> connectors;
  std::vector<SignalGroup> signals;
  double cycle_s = 0;
  std::vector<Crosswalk> crosswalks;
  std::vector<Footway> footways;
  std::vector<Entry> entries;
  std::vector<CountLine> lines;
  double foot_rate = 0;            ///< people an hour at density 1
  double truck_share = 0.06;       ///< of motor vehicles by day
  double long_truck_share = 0;     ///< of trucks
  double bus_share = 0.03;         ///< of motor vehicles
  double motorcycle_share = 0.05;  ///< of motor vehicles
  double bicycle_share = 0;        ///< of vehicles in ordinary lanes
  bool coaches = false;            ///< buses are coaches
  bool fast = false;               ///< drivers want up to a fifth more than is usual in town
  std::vector<Pose> parked;        ///< centres of parking places
  int wrong_way_lane = -1;         ///< lane for the wrong-way driver
  int wrong_way_closes = -1;       ///< lane that must be empty meanwhile; -1: none
  int bottleneck_lane = -1;        ///< where a queue is made
  int stopped_lane = -1;           ///< where a vehicle breaks down
  double stopped_at = 0;           ///< metres along it

  int add_lane(Lane lane);
  /// Adds the lane of a connector and the connector itself.
  int connect(int from, int to, Path path, std::string name, int signal, double speed_limit);
  /// Fills conflicts, siblings and crosswalk zones from the geometry of the largest vehicle. `yields(a, b)` says
  /// whether connector a gives way to b.
  void find_conflicts(bool (*yields)(const Network&, const Connector& a, const Connector& b));
};

[[nodiscard]] Network make_network(const std::string& scene);

}  // namespace gantry::scene
