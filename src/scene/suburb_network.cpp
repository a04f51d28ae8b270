#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "scene/suburb.hpp"

namespace gantry::scene::suburb {

Network network() {
  Network n;
  constexpr std::array<const char*, 4> kLegs{"east", "north", "west", "south"};
  const auto name = [&](int leg, const char* what) {
    return std::string(kLegs[static_cast<std::size_t>(leg)]) + "-" + what;
  };
  const auto straight_lane = [](std::string lane_name, Vec2 from, Vec2 to) {
    Lane lane;
    lane.name = std::move(lane_name);
    lane.speed_limit = kSpeed;
    lane.width = kLaneWidth;
    const Vec2 d = to - from;
    lane.path = Path(from, det_atan2(d.y, d.x)).straight(norm(d)).finish();
    return lane;
  };
  std::array<int, 4> in{};
  std::array<int, 4> out{};
  for (int l = 0; l < 4; ++l) {
    in[static_cast<std::size_t>(l)] =
        n.add_lane(straight_lane(name(l, "in"), on_leg(l, kLegLength, kLane), on_leg(l, kStopLine, kLane)));
    out[static_cast<std::size_t>(l)] =
        n.add_lane(straight_lane(name(l, "out"), on_leg(l, kStopLine, -kLane), on_leg(l, kLegLength, -kLane)));
  }
  for (int l = 0; l < 4; ++l) {
    const bool main_road = l % 2 == 0;
    const auto join = [&](int exit_leg, const char* what, int turn, double limit) {
      const int from = in[static_cast<std::size_t>(l)];
      const int to = out[static_cast<std::size_t>(exit_leg)];
      const Path& a = n.lanes[static_cast<std::size_t>(from)].path;
      const Pose start = a.pose(a.length());
      const double radius = turn > 0 ? kStopLine + kLane : kStopLine - kLane;
      Path path(start.at, start.heading);
      if (turn == 0) {
        path.straight(2 * kStopLine);
      } else {
        path.arc(radius, turn * kPi / 2);
      }
      path.finish();
      return n.connect(from, to, std::move(path), name(l, what), -1, limit);
    };
    const int left = join((l + 3) % 4, "left", 1, 6.0);
    const int ahead = join((l + 2) % 4, "ahead", 0, kSpeed);
    const int right = join((l + 1) % 4, "right", -1, 5.0);
    n.lines.push_back({name(l, "stop-line"), in[static_cast<std::size_t>(l)], kLegLength - kStopLine});
    if (main_road) {
      n.entries.push_back({in[static_cast<std::size_t>(l)], 480, {{left, 0.12}, {ahead, 0.76}, {right, 0.12}}});
    } else {
      n.entries.push_back({in[static_cast<std::size_t>(l)], 150, {{left, 0.35}, {ahead, 0.3}, {right, 0.35}}});
    }
    Crosswalk walk;
    walk.name = name(l, "crosswalk");
    const double middle = (kWalkNear + kWalkFar) / 2;
    walk.from = on_leg(l, middle, kKerb);
    walk.to = on_leg(l, middle, -kKerb);
    walk.width = kWalkFar - kWalkNear;
    n.crosswalks.push_back(walk);
  }
  const double foot = kKerb + 1.6;
  const double walk_at = (kWalkNear + kWalkFar) / 2;
  for (int l = 0; l < 4; ++l) {
    for (const double side : {1.0, -1.0}) {
      Footway across;
      across.points = {on_leg(l, 90, side * foot),       on_leg(l, walk_at, side * foot),
                       on_leg(l, walk_at, side * kKerb), on_leg(l, walk_at, -side * kKerb),
                       on_leg(l, walk_at, -side * foot), on_leg(l, 90, -side * foot)};
      across.crosswalk = {-1, -1, l, -1, -1};
      n.footways.push_back(across);
      const int crossed = side > 0 ? (l + 1) % 4 : (l + 3) % 4;
      Footway on;
      on.points = {on_leg(l, 90, side * foot), on_leg(crossed, walk_at, kKerb), on_leg(crossed, walk_at, -kKerb),
                   on_leg((l + 2) % 4, 90, -side * foot)};
      if (norm(on.points[1] - on.points[0]) > norm(on.points[2] - on.points[0])) std::swap(on.points[1], on.points[2]);
      on.crosswalk = {-1, crossed, -1};
      n.footways.push_back(on);
    }
  }
  for (int l = 0; l < 4; l += 2) {
    for (const double side : {1.0, -1.0}) {
      for (int i = 0; i < 11; ++i) {
        const Vec2 at = on_leg(l, 26 + 7.2 * i, side * (kKerb - 1.15));
        n.parked.push_back({at, leg_angle(l) + (side > 0 ? kPi : 0)});
      }
    }
  }
  n.foot_rate = 160;
  n.truck_share = 0.05;
  n.bus_share = 0.035;
  n.motorcycle_share = 0.06;
  n.bicycle_share = 0.07;
  n.stopped_lane = out[2];
  n.stopped_at = 25;
  n.bottleneck_lane = out[2];
  {
    const Path reversed = n.lanes[static_cast<std::size_t>(out[3])].path.reversed();
    Lane wrong;
    wrong.name = "south-out-wrong-way";
    wrong.use = LaneUse::kWrongWay;
    wrong.speed_limit = 8;
    wrong.path = reversed;
    n.wrong_way_closes = out[3];
    n.wrong_way_lane = n.add_lane(std::move(wrong));
    // It comes from the south on the left-hand side and turns off to the west.
    Path path =
        Path(reversed.pose(reversed.length()).at, kPi / 2).straight(2 * kLane).arc(kStopLine - kLane, kPi / 2).finish();
    n.connect(n.wrong_way_lane, out[2], std::move(path), "south-wrong-way", -1, 5.0);
  }
  n.find_conflicts([](const Network& net, const Connector& a, const Connector& b) {
    const auto main_road = [&](const Connector& c) {
      const std::string& from = net.lanes[static_cast<std::size_t>(c.from)].name;
      return from.starts_with("east") || from.starts_with("west");
    };
    const auto turns_left = [&](const Connector& c) {
      return net.lanes[static_cast<std::size_t>(c.lane)].name.ends_with("left");
    };
    if (main_road(a) != main_road(b)) return main_road(b);
    return turns_left(a) && !turns_left(b);
  });
  return n;
}

}  // namespace gantry::scene::suburb
