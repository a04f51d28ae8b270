#include <algorithm>
#include <string>
#include <utility>

#include "scene/junction.hpp"

namespace gantry::scene::junction {
namespace {

// The cycle: north-south through, north-south left, east-west through, east-west left.
constexpr double kThrough = 24;
constexpr double kLeft = 10;
constexpr double kYellow = 3;
constexpr double kAllRed = 2;
constexpr double kHalfCycle = kThrough + kLeft + 2 * (kYellow + kAllRed);
constexpr double kWalk = 8;

enum Group { kNsThrough, kNsLeft, kEwThrough, kEwLeft };

std::string name(int leg, const char* what) {
  return std::string(kLegs[static_cast<std::size_t>(leg)]) + "-" + what;
}

Lane straight_lane(std::string lane_name, Vec2 from, Vec2 to, LaneUse use) {
  Lane lane;
  lane.name = std::move(lane_name);
  lane.use = use;
  lane.width = use == LaneUse::kBicycles ? 1.7 : 3.5;
  lane.speed_limit = kUrbanSpeed;
  const Vec2 d = to - from;
  lane.path = Path(from, det_atan2(d.y, d.x)).straight(norm(d)).finish();
  return lane;
}

/// From one straight to another: straight, quarter circle, straight. `turn` is +1 left, -1 right, 0 ahead.
Path turn_path(Vec2 from, double heading, Vec2 to, int turn, double radius_limit) {
  const Vec2 ahead = unit(heading);
  const double along = dot(to - from, ahead);
  if (turn == 0) return Path(from, heading).straight(along).finish();
  const double across = std::fabs(dot(to - from, right_of(ahead)));
  const double radius = std::min({along, across, radius_limit});
  return Path(from, heading).straight(along - radius).arc(radius, turn * kPi / 2).straight(across - radius).finish();
}

}  // namespace

Network network() {
  Network n;
  n.cycle_s = 2 * kHalfCycle;
  const auto group = [&](const char* group_name, double from, double length) {
    n.signals.push_back({group_name, from, from + length, from + length + kYellow});
  };
  group("ns-through", 0, kThrough);
  group("ns-left", kThrough + kYellow + kAllRed, kLeft);
  group("ew-through", kHalfCycle, kThrough);
  group("ew-left", kHalfCycle + kThrough + kYellow + kAllRed, kLeft);

  struct Leg {
    int left, middle, outer, bike, exit_middle, exit_outer, exit_bike, wrong;
  };
  std::array<Leg, 4> legs{};
  for (int l = 0; l < 4; ++l) {
    Leg& leg = legs[static_cast<std::size_t>(l)];
    const auto in = [&](const char* what, double side, LaneUse use) {
      return n.add_lane(straight_lane(name(l, what), on_leg(l, kLegLength, side), on_leg(l, kStopLine, side), use));
    };
    const auto out = [&](const char* what, double side, LaneUse use) {
      return n.add_lane(straight_lane(name(l, what), on_leg(l, kStopLine, -side), on_leg(l, kLegLength, -side), use));
    };
    leg.left = in("in-left", kLeftLane, LaneUse::kVehicles);
    leg.middle = in("in-middle", kMiddleLane, LaneUse::kVehicles);
    leg.outer = in("in-outer", kOuterLane, LaneUse::kVehicles);
    leg.bike = in("in-bike", kBikeLane, LaneUse::kBicycles);
    leg.exit_middle = out("out-middle", kMiddleLane, LaneUse::kVehicles);
    leg.exit_outer = out("out-outer", kOuterLane, LaneUse::kVehicles);
    leg.exit_bike = out("out-bike", kBikeLane, LaneUse::kBicycles);
  }
  for (int l = 0; l < 4; ++l) {
    const Leg& leg = legs[static_cast<std::size_t>(l)];
    const Leg& ahead = legs[static_cast<std::size_t>((l + 2) % 4)];
    // Driving in from the east means heading west; a left turn then leaves to the south, the leg after next but one.
    const Leg& to_left = legs[static_cast<std::size_t>((l + 3) % 4)];
    const Leg& to_right = legs[static_cast<std::size_t>((l + 1) % 4)];
    const bool ns = l % 2 == 1;
    const int through = ns ? kNsThrough : kEwThrough;
    const auto join = [&](int from, int to, const char* what, int turn, int signal, double limit, double radius) {
      const Path& a = n.lanes[static_cast<std::size_t>(from)].path;
      const Path& b = n.lanes[static_cast<std::size_t>(to)].path;
      const Pose start = a.pose(a.length());
      return n.connect(from, to, turn_path(start.at, start.heading, b.pose(0).at, turn, radius), name(l, what), signal,
                       limit);
    };
    const int left = join(leg.left, to_left.exit_middle, "left", 1, ns ? kNsLeft : kEwLeft, 8.0, 22.5);
    const int middle = join(leg.middle, ahead.exit_middle, "ahead-middle", 0, through, kUrbanSpeed, 0);
    const int outer = join(leg.outer, ahead.exit_outer, "ahead-outer", 0, through, kUrbanSpeed, 0);
    const int right = join(leg.outer, to_right.exit_outer, "right", -1, through, 6.0, 11.5);
    const int bike = join(leg.bike, ahead.exit_bike, "ahead-bike", 0, through, 6.5, 0);
    for (const int lane : {leg.left, leg.middle, leg.outer, leg.bike}) {
      n.lines.push_back({name(l, "stop-line"), lane, n.lanes[static_cast<std::size_t>(lane)].path.length()});
    }
    const double main_road = ns ? 0.8 : 1.0;
    n.entries.push_back({leg.left, 200 * main_road, {{left, 1}}});
    n.entries.push_back({leg.middle, 430 * main_road, {{middle, 1}}});
    n.entries.push_back({leg.outer, 430 * main_road, {{outer, 0.6}, {right, 0.4}}});
    n.entries.push_back({leg.bike, 90, {{bike, 1}}});
  }

  // The wrong-way driver comes down the outer exit of the east leg and turns off to the south.
  {
    const Lane& closed = n.lanes[static_cast<std::size_t>(legs[0].exit_outer)];
    Lane wrong;
    wrong.name = "east-out-outer-wrong-way";
    wrong.use = LaneUse::kWrongWay;
    wrong.speed_limit = 9;
    wrong.path = closed.path.reversed();
    n.wrong_way_closes = legs[0].exit_outer;
    n.wrong_way_lane = n.add_lane(std::move(wrong));
    const Path& lane = n.lanes[static_cast<std::size_t>(n.wrong_way_lane)].path;
    const Vec2 target = n.lanes[static_cast<std::size_t>(legs[3].exit_outer)].path.pose(0).at;
    n.connect(n.wrong_way_lane, legs[3].exit_outer, turn_path(lane.pose(lane.length()).at, kPi, target, 1, 11.5),
              "east-wrong-way", -1, 6.0);
  }

  for (int l = 0; l < 4; ++l) {
    const double middle = (kWalkNear + kWalkFar) / 2;
    Crosswalk walk;
    walk.name = name(l, "crosswalk");
    walk.from = on_leg(l, middle, kKerb);
    walk.to = on_leg(l, middle, -kKerb);
    walk.width = kWalkFar - kWalkNear;
    // People cross the east leg while north-south traffic goes ahead.
    const double green = l % 2 == 0 ? 0 : kHalfCycle;
    walk.walk_from = green + 1;
    walk.walk_to = green + 1 + kWalk;
    n.crosswalks.push_back(walk);
  }
  // On foot: in along one leg's pavement, over the crosswalk at the corner, out along the other side; or round a
  // corner.
  const double foot = (kKerb + kPavement) / 2;
  const double walk_at = (kWalkNear + kWalkFar) / 2;
  for (int l = 0; l < 4; ++l) {
    for (const double side : {1.0, -1.0}) {
      // Along the leg, across it, and back out on the other side.
      Footway across;
      across.points = {on_leg(l, 110, side * foot),      on_leg(l, walk_at, side * foot),
                       on_leg(l, walk_at, side * kKerb), on_leg(l, walk_at, -side * kKerb),
                       on_leg(l, walk_at, -side * foot), on_leg(l, 110, -side * foot)};
      across.crosswalk = {-1, -1, l, -1, -1};
      n.footways.push_back(across);
      // In along the leg and straight on over the leg to the side; its nearer kerb comes first.
      const int crossed = side > 0 ? (l + 1) % 4 : (l + 3) % 4;
      Footway on;
      on.points = {on_leg(l, 110, side * foot), on_leg(crossed, walk_at, kKerb), on_leg(crossed, walk_at, -kKerb),
                   on_leg((l + 2) % 4, 110, -side * foot)};
      if (norm(on.points[1] - on.points[0]) > norm(on.points[2] - on.points[0])) std::swap(on.points[1], on.points[2]);
      on.crosswalk = {-1, crossed, -1};
      n.footways.push_back(on);
    }
  }
  n.foot_rate = 420;
  n.stopped_lane = legs[2].exit_outer;
  n.stopped_at = 30;
  n.bottleneck_lane = legs[2].exit_middle;
  n.find_conflicts([](const Network& net, const Connector& a, const Connector& b) {
    const Lane& la = net.lanes[static_cast<std::size_t>(a.lane)];
    const Lane& lb = net.lanes[static_cast<std::size_t>(b.lane)];
    // Turning right gives way to bicycles that go ahead.
    return la.use == LaneUse::kVehicles && lb.use == LaneUse::kBicycles && a.signal == b.signal;
  });
  return n;
}

}  // namespace gantry::scene::junction
