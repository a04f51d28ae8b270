#include <string>

#include "scene/motorway.hpp"

namespace gantry::scene::motorway {

Network network() {
  constexpr double kHalfLength = 420;
  constexpr double kRadius = 2400;  // a gentle bend
  Network n;
  Path axis = Path({-kHalfLength, 0}, 0).straight(kHalfLength).arc(kRadius, kHalfLength / kRadius).finish();
  const Path back = axis.reversed();
  for (const bool out : {true, false}) {
    const Path& line = out ? axis : back;
    const std::string side = out ? "east" : "west";
    int previous = -1;
    for (int i = 0; i < 3; ++i) {  // from the median to the edge
      Lane lane;
      lane.name = side + "-" + std::to_string(i + 1);
      lane.path = line.beside(4.0 + 3.6 * i);
      lane.width = 3.6;
      lane.speed_limit = 33.3;
      lane.left = previous;
      const int id = n.add_lane(std::move(lane));
      if (previous >= 0) n.lanes[static_cast<std::size_t>(previous)].right = id;
      previous = id;
      constexpr double kShare[3] = {1500, 1700, 1350};
      n.entries.push_back({id, kShare[i], {}});
      n.lines.push_back({side + "-line", id, kHalfLength + (out ? 40.0 : -40.0)});
    }
    if (out) {
      n.stopped_lane = previous;
      n.stopped_at = kHalfLength + 70;
      n.bottleneck_lane = previous;
    }
  }
  Lane wrong;
  wrong.name = "east-shoulder-wrong-way";
  wrong.use = LaneUse::kWrongWay;
  wrong.speed_limit = 16;
  wrong.path = axis.beside(4.0 + 3.6 * 2 + 3.3).reversed();
  n.wrong_way_lane = n.add_lane(std::move(wrong));
  n.truck_share = 0.13;
  n.long_truck_share = 0.6;
  n.bus_share = 0.025;
  n.coaches = true;
  n.motorcycle_share = 0.02;
  n.fast = true;
  return n;
}

}  // namespace gantry::scene::motorway
