#pragma once
// The fundamental diagram of the simulator's traffic: flow over density, measured on the motorway.
#include <cstdint>
#include <string>
#include <vector>

namespace gantry::scene {

/// One lane over one interval, by Edie's definitions over 230 m of road.
struct DiagramPoint {
  double density = 0;      ///< vehicles a kilometre
  double flow = 0;         ///< vehicles an hour
  double speed = 0;        ///< m/s, flow / density
  bool congested = false;  ///< measured behind a bottleneck
};

/// Runs the motorway at rising demand, freely and behind a bottleneck. `minutes` of traffic a demand.
[[nodiscard]] std::vector<DiagramPoint> measure_diagram(std::uint64_t seed, double minutes);
[[nodiscard]] std::string diagram_svg(const std::vector<DiagramPoint>& points);

}  // namespace gantry::scene
