// People on foot: along pavements, over crosswalks when they may and nobody with leave is coming.
#include <algorithm>

#include "scene/traffic.hpp"

namespace gantry::scene {

void World::State::walk() {
  constexpr double kStep = kStepSeconds * kDecisionSteps;
  std::fill(people_wait.begin(), people_wait.end(), char{0});
  const double t =
      net.cycle_s > 0 ? static_cast<double>(now_ms % static_cast<std::int64_t>(net.cycle_s * 1000)) / 1000 : 0;
  for (Walker& w : walkers) {
    const Footway& way = net.footways[static_cast<std::size_t>(w.footway)];
    const Vec2 from = way.points[w.segment];
    const Vec2 d = way.points[w.segment + 1] - from;
    const double length = norm(d);
    const Vec2 axis = (1 / length) * d;
    const int crosswalk = way.crosswalk[w.segment];
    bool go = true;
    if (crosswalk >= 0) {
      const Crosswalk& strip = net.crosswalks[static_cast<std::size_t>(crosswalk)];
      const Vec2 sd = strip.to - strip.from;
      const Vec2 s_axis = (1 / norm(sd)) * sd;
      const double p = dot(from + w.along * axis - strip.from, s_axis);
      const double direction = dot(axis, s_axis) > 0 ? 1 : -1;
      const bool at_kerb = w.along <= 0;
      const bool may = strip.walk_to <= strip.walk_from || (t >= strip.walk_from && t < strip.walk_to);
      if (at_kerb && !may) {
        go = false;
      } else {
        if (at_kerb) people_wait[static_cast<std::size_t>(crosswalk)] = 1;
        for (std::size_t i = 0; i < net.connectors.size() && go; ++i) {
          for (const CrosswalkZone& zone : net.connectors[i].crosswalks) {
            if (zone.crosswalk != crosswalk || grants[i].empty()) continue;
            // How far to where this way's bodies pass, and to where they have been passed.
            const double edge = direction > 0 ? zone.from_across - p : p - zone.to_across;
            const double beyond = direction > 0 ? zone.to_across - p : p - zone.from_across;
            if (beyond < 0) continue;
            // In the middle of the road, stop right before it, and do not stop inside it.
            if (!at_kerb && (edge < -0.05 || edge > 0.5)) continue;
            for (const int holder : grants[i]) {
              const double position = along(vehicles[static_cast<std::size_t>(holder)], static_cast<int>(i));
              const double v = std::max(vehicles[static_cast<std::size_t>(holder)].v, 2.0);
              if (position > zone.leave) continue;
              // At the kerb, only those matter who are there before we would be through.
              if (at_kerb && (zone.enter - position) / v > (beyond + 1) / w.speed + 1) continue;
              go = false;
            }
          }
        }
      }
    }
    w.v = go ? w.speed : 0;
    w.along += w.v * kStep;
    w.walked += w.v * kStep;
    w.heading = det_atan2(axis.y, axis.x);
    if (w.along >= length) {
      w.along = 0;
      ++w.segment;
    }
    if (w.segment + 1 >= way.points.size()) continue;
    const Vec2 start = way.points[w.segment];
    const Vec2 nd = way.points[w.segment + 1] - start;
    const Vec2 n_axis = (1 / norm(nd)) * nd;
    const Vec2 target = start + w.along * n_axis + w.side * right_of(n_axis);
    // Round corners: the body follows its place in the line at no more than a hurried pace.
    const Vec2 to_go = target - w.at;
    const double far = norm(to_go);
    const double pace = w.speed * 1.6 * kStep;
    if (far > 1e-6) w.at = far > pace ? w.at + (pace / far) * to_go : target;
    if (far > 0.02 && w.v > 0) w.heading = det_atan2(to_go.y, to_go.x);
  }
  std::erase_if(walkers, [&](const Walker& w) {
    return w.segment + 1 >= net.footways[static_cast<std::size_t>(w.footway)].points.size();
  });
}

}  // namespace gantry::scene
