#include "scene/suburb.hpp"

namespace gantry::scene::suburb {

Layout layout() {
  Layout l;
  l.extent = 170;
  constexpr double kFar = 160;
  const auto rectangle = [&](Surface s, int leg, double out0, double out1, double side0, double side1) {
    l.ground.push_back(
        {s, {on_leg(leg, out0, side0), on_leg(leg, out1, side0), on_leg(leg, out1, side1), on_leg(leg, out0, side1)}});
  };
  for (int leg = 0; leg < 4; ++leg) rectangle(Surface::kPavement, leg, 0, kFar, -kPavement, kPavement);
  for (int leg = 0; leg < 4; ++leg) rectangle(Surface::kPavement, leg, kKerb, kPavement + 4, kKerb, kPavement + 4);
  for (int leg = 0; leg < 4; ++leg) rectangle(Surface::kAsphalt, leg, 0, kFar, -kKerb, kKerb);
  for (int leg = 0; leg < 4; ++leg) {
    constexpr double r = kCornerRadius;
    for (int i = 0; i < 8; ++i) {
      const auto arc = [&](double a) { return on_leg(leg, kKerb + r - r * det_sin(a), kKerb + r - r * det_cos(a)); };
      l.ground.push_back({Surface::kAsphalt,
                          {on_leg(leg, kKerb - 0.01, kKerb - 0.01), arc(kPi / 2 * i / 8), arc(kPi / 2 * (i + 1) / 8)}});
    }
  }
  const auto line = [&](int leg, double out0, double out1, double side, double dash, double gap, double width,
                        double wear) {
    Marking m;
    m.points = {on_leg(leg, out0, side), on_leg(leg, out1, side)};
    m.dash = dash;
    m.gap = gap;
    m.width = width;
    m.wear = wear;
    l.markings.push_back(m);
  };
  Rng rng(2024);
  for (int leg = 0; leg < 4; ++leg) {
    const bool main_road = leg % 2 == 0;
    for (const double side : {kLane, -kLane}) {
      for (const double track : {-0.78, 0.78}) line(leg, 0, kFar, side + track, 0, 0, 0.75, 0.14);
    }
    line(leg, kStopLine + 1, kFar, 0, main_road ? 3 : 2, main_road ? 4.5 : 6, 0.12, 0);
    if (main_road) {
      for (const double side : {1.0, -1.0}) {
        line(leg, 22, kFar, side * 3.75, 1, 1, 0.10, 0);
        for (double out = 22.4; out < 105; out += 7.2) line(leg, out, out + 0.1, side * 4.8, 0, 0, 2.0, 0);
      }
    } else {
      l.paint.push_back({{on_leg(leg, kStopLine + 0.1, 0.15), on_leg(leg, kStopLine + 0.55, 0.15),
                          on_leg(leg, kStopLine + 0.55, 3.5), on_leg(leg, kStopLine + 0.1, 3.5)}});
    }
    for (double side = -kKerb + 0.4; side < kKerb - 0.5; side += 1.0) {
      l.paint.push_back({{on_leg(leg, kWalkNear, side), on_leg(leg, kWalkFar, side), on_leg(leg, kWalkFar, side + 0.5),
                          on_leg(leg, kWalkNear, side + 0.5)}});
    }
    for (int i = 0; i < 4; ++i) {
      const double out = 20 + 34.0 * i;
      const Vec2 at = on_leg(leg, out, kKerb + 0.5);
      const Vec2 to_road = on_leg(leg, out, 0) - at;
      l.poles.push_back({at, 6.2, 0.08, det_atan2(to_road.y, to_road.x), 1.2, true});
    }
    for (const double side : {1.0, -1.0}) {
      for (double out = 20; out < 150; out += rng.uniform(15, 21)) {
        const double length = rng.uniform(9, 13);
        const double width = rng.uniform(7.5, 9.5);
        const double back = kPavement + rng.uniform(4, 8) + width / 2;
        if (!main_road && out < 30) continue;
        l.buildings.push_back({on_leg(leg, out + length / 2, side * back),
                               leg_angle(leg) + (rng.chance(0.3) ? kPi / 2 : 0), length, width, rng.uniform(4.8, 6.4),
                               rng.chance(0.12) ? 1 : 0, static_cast<std::uint32_t>(rng.bits() >> 40)});
      }
      for (double out = 19; out < 150; out += rng.uniform(7, 14)) {
        l.trees.push_back({on_leg(leg, out, side * (kPavement + rng.uniform(0.6, 3.2))), rng.uniform(3.0, 8.5),
                           rng.uniform(1.2, 3.0), rng.chance(0.2), static_cast<std::uint32_t>(rng.bits() >> 40)});
      }
      for (double out = 22; out < 150; out += rng.uniform(10, 20)) {
        l.trees.push_back({on_leg(leg, out, side * (kPavement + rng.uniform(18, 40))), rng.uniform(7, 13),
                           rng.uniform(2.5, 4.2), rng.chance(0.3), static_cast<std::uint32_t>(rng.bits() >> 40)});
      }
    }
  }
  l.cameras.push_back({"corner-pole", 15, -16, 7.0, -4, 3, 0.3, 74, -0.09, 0.015, 0});
  l.cameras.push_back({"main-road", -48, -7.0, 5.8, 6, 0.5, 0.5, 50, -0.05, 0.01, 0});
  l.cameras.push_back({"roof", 12, 34, 13, -1, 2, 0, 58, -0.06, 0.01, 0});
  l.cameras.push_back({"overhead", 0.5, -4, 34, 0, -0.2, 0, 64, -0.04, 0.005, 0});
  l.camera_spots = l.cameras;
  l.camera_spots.push_back({"spot", 40, 7.2, 4.6, 8, 0, 0.8, 54, -0.05, 0.01, 0});
  l.camera_spots.push_back({"spot", -13, 15, 5.2, 6, -4, 0.4, 66, -0.08, 0.01, 0});
  return l;
}

}  // namespace gantry::scene::suburb
