#pragma once
// Measures of the suburban crossroads without lights: the east-west road has priority.
#include "scene/det_math.hpp"
#include "scene/layout.hpp"
#include "scene/network.hpp"

namespace gantry::scene::suburb {

inline constexpr double kLegLength = 130;  // metres from the centre
inline constexpr double kStopLine = 13.5;
inline constexpr double kWalkNear = 10.0;
inline constexpr double kWalkFar = 12.8;
inline constexpr double kLane = 1.75;  // centre of the lane from the road's axis
inline constexpr double kLaneWidth = 3.4;
inline constexpr double kKerb = 5.9;  // both roads: lane and parking
inline constexpr double kPavement = 9.2;
inline constexpr double kCornerRadius = 4.0;
inline constexpr double kSpeed = 12.5;  // 45 km/h

[[nodiscard]] inline double leg_angle(int leg) noexcept {
  return leg * kPi / 2;
}
[[nodiscard]] inline Vec2 on_leg(int leg, double out, double side) noexcept {
  const Vec2 d = unit(leg_angle(leg));
  return out * d + side * right_of({-d.x, -d.y});
}

[[nodiscard]] Network network();
[[nodiscard]] Layout layout();

}  // namespace gantry::scene::suburb
