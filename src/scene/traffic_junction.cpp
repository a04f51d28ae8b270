// Lights, and leave to cross a junction.
#include <algorithm>

#include "scene/traffic.hpp"

namespace gantry::scene {

void World::State::update_signals() {
  if (net.signals.empty()) return;
  const double t = static_cast<double>(((now_ms % static_cast<std::int64_t>(net.cycle_s * 1000)) +
                                        static_cast<std::int64_t>(net.cycle_s * 1000)) %
                                       static_cast<std::int64_t>(net.cycle_s * 1000)) /
                   1000;
  for (std::size_t i = 0; i < net.signals.size(); ++i) {
    const SignalGroup& g = net.signals[i];
    SignalState state = SignalState::kRed;
    if (t >= g.green_from && t < g.green_to) {
      state = SignalState::kGreen;
    } else if (t >= g.green_to && t < g.yellow_to) {
      state = SignalState::kYellow;
    }
    if (state != signals[i]) {
      signals[i] = state;
      tell(EventKind::kSignal, g.name, nullptr, state);
    }
  }
}

double World::State::along(const Vehicle& v, int connector) const noexcept {
  const Connector& c = net.connectors[static_cast<std::size_t>(connector)];
  if (v.lane == c.lane) return v.s;
  const double length = net.lanes[static_cast<std::size_t>(c.lane)].path.length();
  if (v.lane == c.from) return v.s - net.lanes[static_cast<std::size_t>(c.from)].path.length();
  return length + v.s;  // on the lane beyond
}

bool World::State::may_enter(int slot, int connector) const {
  const Vehicle& v = vehicles[static_cast<std::size_t>(slot)];
  const Connector& c = net.connectors[static_cast<std::size_t>(connector)];
  const double bus = body_size(BodyKind::kCityBus).length;
  const double mine = body_size(v.kind).length;
  const double position = along(v, connector);
  const double speed = std::max(v.v, 4.0);

  if (closed[static_cast<std::size_t>(c.to)] != 0) return false;
  // Room beyond, counting those who are on their way there.
  double taken = 0;
  for (const Connector& other : net.connectors) {
    if (other.to != c.to) continue;
    for (const int holder :
         grants[static_cast<std::size_t>(net.lanes[static_cast<std::size_t>(other.lane)].connector)]) {
      const Vehicle& h = vehicles[static_cast<std::size_t>(holder)];
      if (h.lane != c.to) taken += body_size(h.kind).length + h.gap + 1;
    }
  }
  const std::vector<int>& beyond = on_lane[static_cast<std::size_t>(c.to)];
  if (!beyond.empty()) {
    const Vehicle& last = vehicles[static_cast<std::size_t>(beyond.back())];
    if (last.v < 5 && last.s - body_size(last.kind).length < taken + mine + v.gap + 2) return false;
  }
  for (const Conflict& conflict : c.conflicts) {
    const Connector& other = net.connectors[static_cast<std::size_t>(conflict.other)];
    for (const int holder : grants[static_cast<std::size_t>(conflict.other)]) {
      const Vehicle& h = vehicles[static_cast<std::size_t>(holder)];
      const LaneUse use = net.lanes[static_cast<std::size_t>(other.lane)].use;
      const double shorter = use == LaneUse::kVehicles ? bus - body_size(h.kind).length : 0;
      const double leaves = std::max(conflict.other_enter + 1, conflict.other_leave - shorter);
      if (along(h, conflict.other) < leaves) return false;
    }
    if (!conflict.yields) continue;
    // Give way to whoever comes towards that way and would be there before we have gone.
    const double clear = (conflict.leave - position) / speed + 2.0;
    const double from_length = net.lanes[static_cast<std::size_t>(other.from)].path.length();
    for (const int coming : on_lane[static_cast<std::size_t>(other.from)]) {
      const Vehicle& o = vehicles[static_cast<std::size_t>(coming)];
      if (next_lane(o) != other.lane) continue;
      if (other.signal >= 0 && signals[static_cast<std::size_t>(other.signal)] != SignalState::kGreen) continue;
      const double arrives = (from_length - o.s + conflict.other_enter) / std::max(o.v, 3.0);
      if (o.v > 1.5 && arrives < clear) return false;
    }
  }
  for (const CrosswalkZone& zone : c.crosswalks) {
    const Crosswalk& crosswalk = net.crosswalks[static_cast<std::size_t>(zone.crosswalk)];
    const bool turning_over = zone.enter > 6;
    if (turning_over && people_wait[static_cast<std::size_t>(zone.crosswalk)] != 0) return false;
    if (c.signal < 0 && people_wait[static_cast<std::size_t>(zone.crosswalk)] != 0 && position < -8) return false;
    const Vec2 d = crosswalk.to - crosswalk.from;
    const Vec2 axis = (1 / norm(d)) * d;
    const double clear = (zone.leave - position) / speed + 1.0;
    for (const Walker& w : walkers) {
      const Footway& way = net.footways[static_cast<std::size_t>(w.footway)];
      if (way.crosswalk[w.segment] != zone.crosswalk || w.along <= 0) continue;
      const double p = dot(w.at - crosswalk.from, axis);
      const double direction = dot(unit(w.heading), axis) > 0 ? 1 : -1;
      const double reach = w.speed * clear + 0.5;
      const double low = direction > 0 ? p - 0.5 : p - reach;
      const double high = direction > 0 ? p + reach : p + 0.5;
      if (high > zone.from_across && low < zone.to_across) return false;
    }
  }
  return true;
}

void World::State::decide_junctions() {
  // Leave ends when the rear is well out of the junction.
  for (std::size_t i = 0; i < grants.size(); ++i) {
    const double length = net.lanes[static_cast<std::size_t>(net.connectors[i].lane)].path.length();
    std::erase_if(grants[i], [&](int slot) {
      Vehicle& v = vehicles[static_cast<std::size_t>(slot)];
      const bool gone = along(v, static_cast<int>(i)) > length + body_size(v.kind).length + 1.5;
      if (gone) v.granted = -1;
      return gone;
    });
  }
  for (const Lane& lane : net.lanes) {
    if (lane.next.empty()) continue;
    if (net.lanes[static_cast<std::size_t>(lane.next.front())].connector < 0) continue;
    bool blocked = false;  // somebody in front has no leave: who is behind would hold the junction from afar
    for (const int slot : on_lane[static_cast<std::size_t>(lane.id)]) {
      Vehicle& v = vehicles[static_cast<std::size_t>(slot)];
      const int connector = net.lanes[static_cast<std::size_t>(next_lane(v))].connector;
      const Connector& c = net.connectors[static_cast<std::size_t>(connector)];
      const double distance = lane.path.length() - v.s;
      const SignalState light = c.signal >= 0 ? signals[static_cast<std::size_t>(c.signal)] : SignalState::kGreen;
      const bool can_stop = distance > v.v * v.v / (2 * 3.2) + 0.5;
      const bool go = v.runs_red || light == SignalState::kGreen || (light == SignalState::kYellow && !can_stop);
      if (v.granted == connector) {
        if ((blocked || !go) && can_stop) {
          std::erase(grants[static_cast<std::size_t>(connector)], slot);
          v.granted = -1;
          blocked = true;
        }
      } else if (!blocked) {
        blocked = !go || distance > v.v * v.v / 3 + 22 || !may_enter(slot, connector);
        if (!blocked) {
          v.granted = connector;
          grants[static_cast<std::size_t>(connector)].push_back(slot);
        }
      }
    }
  }
}

}  // namespace gantry::scene
