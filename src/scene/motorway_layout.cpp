#include "scene/motorway.hpp"

namespace gantry::scene::motorway {

Layout layout() {
  Layout l;
  l.extent = 470;
  constexpr double kHalf = 460;
  const Path axis = Path({-kHalf, 0}, 0).straight(kHalf).arc(2400, kHalf / 2400).finish();
  const auto point = [&](double s, double side) {
    const Pose p = axis.pose(s);
    return p.at + side * right_of(unit(p.heading));
  };
  constexpr double kEdge = 16.4;
  constexpr double kMedian = 1.7;
  for (double s = 0; s < 2 * kHalf - 1; s += 23) {
    const auto strip = [&](Surface surface, double a, double b) {
      l.ground.push_back({surface, {point(s, a), point(s + 23, a), point(s + 23, b), point(s, b)}});
    };
    strip(Surface::kGravel, -kEdge - 1.5, kEdge + 1.5);
    strip(Surface::kAsphalt, -kEdge, kEdge);
    strip(Surface::kGravel, -kMedian + 0.4, kMedian - 0.4);
  }
  const auto line = [&](double side, double dash, double gap, double width, double wear, bool yellow = false) {
    Marking m;
    for (double s = 0; s <= 2 * kHalf; s += 23) m.points.push_back(point(s, side));
    m.dash = dash;
    m.gap = gap;
    m.width = width;
    m.wear = wear;
    m.yellow = yellow;
    l.markings.push_back(m);
  };
  for (const double s : {1.0, -1.0}) {
    for (int i = 0; i < 3; ++i) {
      const double lane = 4.0 + 3.6 * i;
      for (const double track : {-0.85, 0.85}) line(s * (lane + track), 0, 0, 0.8, 0.15);
      line(s * lane, 0, 0, 0.7, 0.08);
    }
    line(s * 2.05, 0, 0, 0.18, 0);
    line(s * (4.0 + 1.8), 4, 8, 0.15, 0);
    line(s * (4.0 + 5.4), 4, 8, 0.15, 0);
    line(s * (4.0 + 9.0), 0, 0, 0.22, 0);
    Barrier barrier;
    Barrier outer;
    for (double at = 0; at <= 2 * kHalf; at += 8) {
      barrier.points.push_back(point(at, s * 0.7));
      outer.points.push_back(point(at, s * (kEdge + 0.9)));
    }
    l.barriers.push_back(barrier);
    l.barriers.push_back(outer);
  }
  Rng rng(99);
  for (double at = 10; at < 2 * kHalf; at += rng.uniform(3, 7)) {
    for (const double s : {1.0, -1.0}) {
      const double away = kEdge + rng.uniform(6, 30);
      l.trees.push_back({point(at, s * away), rng.uniform(5, 13), rng.uniform(1.8, 4.0), rng.chance(0.35),
                         static_cast<std::uint32_t>(rng.bits() >> 40)});
    }
  }
  for (double at = 30; at < 2 * kHalf; at += 45) {
    const Pose p = axis.pose(at);
    for (const double s : {1.0, -1.0}) l.poles.push_back({p.at, 11.5, 0.12, p.heading + s * kPi / 2, 3.2, true});
  }
  for (int i = 0; i < 22; ++i) {
    const double s = rng.chance(0.5) ? 1 : -1;
    l.buildings.push_back({point(rng.uniform(0, 2 * kHalf), s * rng.uniform(70, 160)), rng.uniform(0, kPi),
                           rng.uniform(14, 50), rng.uniform(12, 25), rng.uniform(5, 14), rng.chance(0.5) ? 2 : 1,
                           static_cast<std::uint32_t>(rng.bits() >> 40)});
  }
  l.cameras.push_back({"bridge-east", 0, -5.5, 8.4, 60, -4.0, 0.0, 52, -0.04, 0.005, 0});
  l.cameras.push_back({"bridge-west", 0, 6, 8.2, -55, 4.5, 0.0, 48, -0.04, 0.005, 0});
  l.cameras.push_back({"verge-pole", 20, -21, 10.5, 75, -3, 0.0, 46, -0.06, 0.01, 0});
  l.cameras.push_back({"high-mast", 70, -24, 22, 100, -4, 0.0, 64, -0.05, 0.01, 0});
  l.camera_spots = l.cameras;
  l.camera_spots.push_back({"spot", -40, -9, 6.8, 0, -8.5, 0.0, 40, -0.04, 0.005, 0});
  l.camera_spots.push_back({"spot", 40, 8, 7.5, 0, 7.5, 0.0, 44, -0.04, 0.005, 0});
  return l;
}

}  // namespace gantry::scene::motorway
