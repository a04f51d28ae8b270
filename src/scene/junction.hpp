#pragma once
// Measures of the signalised junction, shared by its lanes (junction_network.cpp) and its looks (junction_layout.cpp).
#include <array>

#include "scene/det_math.hpp"
#include "scene/layout.hpp"
#include "scene/network.hpp"

namespace gantry::scene::junction {

inline constexpr double kLegLength = 170;  // metres from the centre to where vehicles appear
inline constexpr double kStopLine = 20.5;  // metres from the centre
inline constexpr double kWalkNear = 16.0;  // the crosswalk, metres from the centre
inline constexpr double kWalkFar = 19.3;
inline constexpr double kLeftLane = 2.0;  // metres to the right of the leg's axis, centre of the lane
inline constexpr double kMiddleLane = 5.5;
inline constexpr double kOuterLane = 9.0;
inline constexpr double kBikeLane = 11.65;
inline constexpr double kKerb = 12.5;
inline constexpr double kPavement = 17.0;     // outer edge of the pavement
inline constexpr double kMedianInner = 0.25;  // the median lies between these on the exit side
inline constexpr double kMedianOuter = 3.6;
inline constexpr double kCornerRadius = 7.0;  // of the kerb
inline constexpr double kUrbanSpeed = 13.9;   // 50 km/h

inline constexpr std::array<const char*, 4> kLegs{"east", "north", "west", "south"};
[[nodiscard]] inline double leg_angle(int leg) noexcept {
  return leg * kPi / 2;
}
/// A point `out` metres from the centre along the leg and `side` metres to the right of somebody who drives in.
[[nodiscard]] inline Vec2 on_leg(int leg, double out, double side) noexcept {
  const Vec2 d = unit(leg_angle(leg));
  return out * d + side * right_of({-d.x, -d.y});
}

[[nodiscard]] Network network();
[[nodiscard]] Layout layout();

}  // namespace gantry::scene::junction
