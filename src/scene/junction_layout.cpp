#include <algorithm>

#include "scene/junction.hpp"

namespace gantry::scene::junction {
namespace {

constexpr double kFar = 190;  // metres along a leg

void surfaces(Layout& l) {
  const auto rectangle = [&](Surface s, int leg, double out0, double out1, double side0, double side1) {
    l.ground.push_back(
        {s, {on_leg(leg, out0, side0), on_leg(leg, out1, side0), on_leg(leg, out1, side1), on_leg(leg, out0, side1)}});
  };
  // Pavements, then roads on them, then the kerbs' rounded corners, then medians.
  for (int leg = 0; leg < 4; ++leg) rectangle(Surface::kPavement, leg, 0, kFar, -kPavement, kPavement);
  for (int leg = 0; leg < 4; ++leg) {
    l.ground.push_back(
        {Surface::kPavement,
         {on_leg(leg, kKerb, kKerb), on_leg(leg, 26, kKerb), on_leg(leg, 26, 26), on_leg(leg, kKerb, 26)}});
  }
  for (int leg = 0; leg < 4; ++leg) rectangle(Surface::kAsphalt, leg, 0, kFar, -kKerb, kKerb);
  for (int leg = 0; leg < 4; ++leg) {
    // The corner between this leg's inbound side and its neighbour: asphalt up to a quarter circle, in slices.
    const double r = kCornerRadius;
    for (int i = 0; i < 10; ++i) {
      const double a0 = kPi / 2 * i / 10;
      const double a1 = kPi / 2 * (i + 1) / 10;
      const auto arc = [&](double a) { return on_leg(leg, kKerb + r - r * det_sin(a), kKerb + r - r * det_cos(a)); };
      l.ground.push_back({Surface::kAsphalt, {on_leg(leg, kKerb - 0.01, kKerb - 0.01), arc(a0), arc(a1)}});
    }
  }
  for (int leg = 0; leg < 4; ++leg) {
    rectangle(Surface::kMedian, leg, 23.0, kFar, -kMedianInner, -kMedianOuter);
    std::vector<Vec2> nose;
    for (int i = 0; i <= 8; ++i) {
      const double a = kPi * i / 8;
      nose.push_back(on_leg(leg, 23.2 - 1.5 * det_sin(a),
                            -(kMedianInner + kMedianOuter) / 2 + (kMedianOuter - kMedianInner) / 2 * det_cos(a)));
    }
    l.ground.push_back({Surface::kMedian, std::move(nose)});
  }
}

void arrow(Layout& l, int leg, double out, double side, bool ahead, bool left, bool right) {
  // Drawn as seen by a driver who comes in: "up" is towards the centre.
  const auto at = [&](double up, double across) { return on_leg(leg, out - up, side + across); };
  l.paint.push_back({{at(0, -0.09), at(0, 0.09), at(ahead ? 3.4 : 2.6, 0.09), at(ahead ? 3.4 : 2.6, -0.09)}});
  if (ahead) l.paint.push_back({{at(3.3, -0.40), at(3.3, 0.40), at(5.0, 0)}});
  for (const double s : {-1.0, 1.0}) {
    if (!(s < 0 ? left : right)) continue;
    const double base = ahead ? 1.2 : 2.4;
    l.paint.push_back(
        {{at(base, s * 0.05), at(base + 0.25, s * 0.05), at(base + 0.9, s * 0.62), at(base + 0.65, s * 0.62)}});
    l.paint.push_back({{at(base + 0.35, s * 0.60), at(base + 1.25, s * 0.60), at(base + 0.85, s * 1.25)}});
  }
}

void markings(Layout& l) {
  const auto line = [&](int leg, double out0, double out1, double side, double dash, double gap, bool yellow,
                        double width = 0.13) {
    Marking m;
    m.points = {on_leg(leg, out0, side), on_leg(leg, out1, side)};
    m.dash = dash;
    m.gap = gap;
    m.yellow = yellow;
    m.width = width;
    l.markings.push_back(m);
  };
  const auto wear = [&](int leg, double side, double out0, double out1, double width, double strength) {
    Marking m;
    m.points = {on_leg(leg, out0, side), on_leg(leg, out1, side)};
    m.width = width;
    m.wear = strength;
    l.markings.push_back(m);
  };
  for (int leg = 0; leg < 4; ++leg) {
    for (const double side : {kLeftLane, kMiddleLane, kOuterLane, -kMiddleLane, -kOuterLane}) {
      for (const double track : {-0.78, 0.78}) wear(leg, side + track, 0, kFar, 0.75, 0.16);
      wear(leg, side, side > 0 ? kStopLine : 6, side > 0 ? kStopLine + 26 : 40, 1.0, 0.14);  // oil where they wait
    }
    line(leg, kStopLine, kFar, 0.25, 0, 0, true);
    line(leg, 23, kFar, -kMedianOuter - 0.15, 0, 0, true);
    for (const double side : {(kLeftLane + kMiddleLane) / 2, (kMiddleLane + kOuterLane) / 2}) {
      line(leg, kStopLine, kStopLine + 38, side, 0, 0, false);
      line(leg, kStopLine + 38, kFar, side, 3, 6, false);
    }
    line(leg, kStopLine + 2, kFar, -(kMiddleLane + kOuterLane) / 2, 3, 6, false);
    line(leg, kStopLine, kFar, 10.78, 0, 0, false, 0.2);
    line(leg, kStopLine, kFar, -10.78, 0, 0, false, 0.2);
    // Stop line across the inbound lanes; the crosswalk's bars.
    l.paint.push_back({{on_leg(leg, kStopLine + 0.1, 0.3), on_leg(leg, kStopLine + 0.6, 0.3),
                        on_leg(leg, kStopLine + 0.6, kKerb - 0.1), on_leg(leg, kStopLine + 0.1, kKerb - 0.1)}});
    for (double side = -kKerb + 0.5; side < kKerb - 0.6; side += 1.0) {
      l.paint.push_back({{on_leg(leg, kWalkNear, side), on_leg(leg, kWalkFar, side), on_leg(leg, kWalkFar, side + 0.5),
                          on_leg(leg, kWalkNear, side + 0.5)}});
    }
    for (const double out : {28.0, 52.0}) {
      arrow(l, leg, out + 4, kLeftLane, false, true, false);
      arrow(l, leg, out + 4, kMiddleLane, true, false, false);
      arrow(l, leg, out + 4, kOuterLane, true, false, true);
    }
    // Guide lines for the left turn, dotted.
    Marking guide;
    guide.width = 0.12;
    guide.dash = 0.5;
    guide.gap = 1.0;
    Path path(on_leg(leg, kStopLine, kLeftLane - 1.7), leg_angle(leg) + kPi);
    path.straight(3.5).arc(20.8, kPi / 2).finish();
    for (double s = 6; s < path.length() - 2; s += 1.5) guide.points.push_back(path.pose(s).at);
    l.markings.push_back(guide);
  }
}

void furniture(Layout& l) {
  Rng rng(4711);
  for (int leg = 0; leg < 4; ++leg) {
    const bool ns = leg % 2 == 1;
    const int through = ns ? 0 : 2;
    const int left = ns ? 1 : 3;
    // Beyond the junction, on the far side, a mast arm over the inbound lanes of the opposite leg... seen by `leg`.
    const double facing = leg_angle(leg);  // lenses look out along the leg that they serve
    const int across = (leg + 2) % 4;
    const Vec2 foot = on_leg(across, kStopLine - 1.0, -(kKerb + 0.8));
    const Vec2 inward = on_leg(across, kStopLine - 1.0, 0) - foot;
    const double heading = det_atan2(inward.y, inward.x);
    l.poles.push_back({foot, 6.3, 0.12, heading, kKerb + 0.8 - kLeftLane - 0.2, false});
    const Vec2 step = (1 / norm(inward)) * inward;
    const double offsets[3] = {kKerb + 0.8 - kOuterLane, kKerb + 0.8 - kMiddleLane, kKerb + 0.8 - kLeftLane - 0.4};
    const Vec2 ahead = unit(facing);
    for (int i = 0; i < 3; ++i) {
      l.heads.push_back({foot + offsets[i] * step + 0.2 * ahead, 5.75, facing, i == 2 ? left : through, true});
    }
    // And one beside the stop line.
    const Vec2 near = on_leg(leg, kStopLine + 0.6, kKerb + 0.7);
    l.poles.push_back({near, 3.6, 0.08, 0, 0, false});
    l.heads.push_back({near + 0.15 * ahead, 3.0, facing, through, false});
    // Street lamps and trees along both sides.
    for (int i = 0; i < 5; ++i) {
      const double out = 34 + 30.0 * i;
      for (const double side : {1.0, -1.0}) {
        const Vec2 at = on_leg(leg, out + (side > 0 ? 0 : 15), side * (kKerb + 0.7));
        const Vec2 to_road = on_leg(leg, out + (side > 0 ? 0 : 15), 0) - at;
        l.poles.push_back({at, 8.6, 0.10, det_atan2(to_road.y, to_road.x), 2.2, true});
      }
    }
    for (double out = 30; out < 175; out += rng.uniform(9, 15)) {
      for (const double side : {1.0, -1.0}) {
        if (rng.chance(0.2)) continue;
        l.trees.push_back({on_leg(leg, out + rng.uniform(-2, 2), side * (kPavement + rng.uniform(0.8, 1.8))),
                           rng.uniform(5.5, 9.0), rng.uniform(1.7, 2.8), false,
                           static_cast<std::uint32_t>(rng.bits() >> 40)});
      }
    }
    for (double out = 30; out < 170; out += 13) {
      if (rng.chance(0.35)) continue;
      l.trees.push_back({on_leg(leg, out, -(kMedianInner + kMedianOuter) / 2), rng.uniform(3.2, 4.2),
                         rng.uniform(0.9, 1.3), false, static_cast<std::uint32_t>(rng.bits() >> 40)});
    }
  }
  // Lamps at the corners light the junction itself.
  for (int leg = 0; leg < 4; ++leg) {
    const Vec2 at = on_leg(leg, kKerb + 5.4, kKerb + 5.4);
    const Vec2 in = Vec2{} - at;
    l.poles.push_back({at, 9.5, 0.11, det_atan2(in.y, in.x), 3.0, true});
  }
  // Blocks of buildings behind the pavements.
  for (int quadrant = 0; quadrant < 4; ++quadrant) {
    for (const bool along_first : {true, false}) {
      double out = along_first ? 30 : 54;
      while (out < 185) {
        const double length = rng.uniform(16, 30);
        const double depth = rng.uniform(13, 20);
        const double set_back = kPavement + rng.uniform(4.0, 8.0) + depth / 2;
        const int style = rng.chance(0.25) ? 2 : 1;
        const double height = style == 2 ? rng.uniform(14, 30) : rng.uniform(9, 17);
        const Vec2 centre = along_first ? on_leg(quadrant, out + length / 2, set_back)
                                        : on_leg((quadrant + 1) % 4, out + length / 2, -set_back);
        const double heading = along_first ? leg_angle(quadrant) : leg_angle((quadrant + 1) % 4);
        l.buildings.push_back(
            {centre, heading, length, depth, height, style, static_cast<std::uint32_t>(rng.bits() >> 40)});
        out += length + (rng.chance(0.3) ? rng.uniform(5, 12) : 0.6);
      }
    }
  }
}

}  // namespace

Layout layout() {
  Layout l;
  l.extent = 200;
  surfaces(l);
  markings(l);
  furniture(l);
  // Poles at the corners and along legs, a bridge-like gantry over the east leg, and straight down.
  l.cameras.push_back({"north-east-pole", 17.4, 17.4, 9.2, -5, -3.5, 0.0, 82, -0.10, 0.02, 0});
  l.cameras.push_back({"west-approach", -62, 9.5, 7.5, 4, -1, 0.5, 46, -0.05, 0.01, 0});
  l.cameras.push_back({"south-mast", -19, -38, 11.0, 4, 4, 0.0, 58, -0.08, 0.015, 0});
  l.cameras.push_back({"overhead", 1, -7, 46, 0, -0.4, 0, 62, -0.04, 0.005, 0});
  l.cameras.push_back({"east-gantry", 78, -2, 8.5, 20, 4.5, 0.5, 40, -0.04, 0.005, 0});
  l.cameras.push_back({"north-roof", 24, 70, 17.0, 0, 8, 0.0, 44, -0.05, 0.01, 0});
  l.camera_spots = l.cameras;
  l.camera_spots.push_back({"spot", 22, -24, 6.5, -6, 2, 0.5, 70, -0.08, 0.01, 0});
  l.camera_spots.push_back({"spot", -23, 23, 5.5, 4, -6, 0.5, 66, -0.08, 0.01, 0});
  l.camera_spots.push_back({"spot", 50, 14.5, 5.0, 10, 3, 0.8, 52, -0.05, 0.01, 0});
  l.camera_spots.push_back({"spot", -3, 55, 7.0, -3, 10, 0.5, 48, -0.05, 0.01, 0});
  return l;
}

}  // namespace gantry::scene::junction
