// Car-following, movement along lanes, lane changes.
#include <algorithm>

#include "scene/traffic.hpp"

namespace gantry::scene {
namespace {

constexpr double kFar = 1e9;
constexpr double kClearance = 0.4;  // metres that are always left between bumpers

double length_of(const Vehicle& v) noexcept {
  return body_size(v.kind).length;
}

}  // namespace

double World::State::accelerate(const Vehicle& v, double limit, double gap, double leader_speed) const noexcept {
  const double r = v.v / std::max(limit, 0.1);
  double a = v.v <= limit ? v.accel * (1 - r * r * r * r) : std::max(-v.brake, v.accel * (1 - r * r));
  if (gap < kFar) {
    const double room = std::max(gap, 0.05);
    const double closing = v.v * (v.v - leader_speed) / (2 * std::sqrt(v.accel * v.brake));
    const double wanted = v.gap + std::max(0.0, v.v * v.headway + closing);
    const double q = wanted / room;
    a -= v.accel * q * q;
    // Krauss: the speed from which hard braking still ends behind a leader who brakes as hard; reaction 0.1 s.
    constexpr double kReaction = 0.1;
    const double b = kHardBraking;
    const double safe = -b * kReaction + std::sqrt(b * b * kReaction * kReaction + leader_speed * leader_speed +
                                                   2 * b * std::max(0.0, gap - kClearance));
    a = std::min(a, (safe - v.v) / kReaction);
  }
  return std::max(a, -kHardBraking);
}

double World::State::speed_limit(const Vehicle& v, int lane) const noexcept {
  const Lane& l = net.lanes[static_cast<std::size_t>(lane)];
  double limit = std::min(l.speed_limit * (v.speeds ? 1.75 : v.wish), v.speeds ? 55.0 : v.top);
  if (l.connector >= 0 && v.speeds) limit = std::min(limit, l.speed_limit * 1.3);
  if (bottleneck_speed >= 0 && slowed[static_cast<std::size_t>(lane)] != 0 && v.s > 0.55 * l.path.length()) {
    limit = std::min(limit, bottleneck_speed);
  }
  return limit;
}

int World::State::next_lane(const Vehicle& v) const noexcept {
  const Lane& lane = net.lanes[static_cast<std::size_t>(v.lane)];
  if (lane.next.empty()) return -1;
  return v.turn >= 0 ? v.turn : lane.next.front();
}

void World::State::insert(int slot, int lane) {
  std::vector<int>& list = on_lane[static_cast<std::size_t>(lane)];
  const double s = vehicles[static_cast<std::size_t>(slot)].s;
  auto place_at = list.begin();
  while (place_at != list.end() && vehicles[static_cast<std::size_t>(*place_at)].s >= s) ++place_at;
  list.insert(place_at, slot);
}

void World::State::erase(int slot, int lane) {
  std::vector<int>& list = on_lane[static_cast<std::size_t>(lane)];
  list.erase(std::find(list.begin(), list.end(), slot));
}

void World::State::remove(int slot) {
  Vehicle& v = vehicles[static_cast<std::size_t>(slot)];
  erase(slot, v.lane);
  if (v.other >= 0) erase(slot, v.other);
  if (v.granted >= 0) std::erase(grants[static_cast<std::size_t>(v.granted)], slot);
  v.alive = false;
  free_slots.push_back(slot);
  ++counts.left;
}

void World::State::follow() {
  for (const Lane& lane : net.lanes) {
    for (const int slot : on_lane[static_cast<std::size_t>(lane.id)]) vehicles[static_cast<std::size_t>(slot)].a = kFar;
  }
  for (const Lane& lane : net.lanes) {
    const std::vector<int>& list = on_lane[static_cast<std::size_t>(lane.id)];
    for (std::size_t i = 0; i < list.size(); ++i) {
      Vehicle& v = vehicles[static_cast<std::size_t>(list[i])];
      double limit = speed_limit(v, lane.id);
      double a = kFar;
      if (i > 0) {
        const Vehicle& leader = vehicles[static_cast<std::size_t>(list[i - 1])];
        a = accelerate(v, limit, leader.s - length_of(leader) - v.s, leader.v);
      }
      if (v.lane == lane.id && !lane.next.empty()) {
        // Beyond the end of this lane: slower lanes, the stop line, the last vehicle of what follows.
        const double look = 30 + v.v * v.v / 3;
        double to_end = lane.path.length() - v.s;
        int here = lane.id;
        int turn = next_lane(v);
        for (int hop = 0; hop < 3 && turn >= 0 && to_end < look; ++hop) {
          const Lane& next = net.lanes[static_cast<std::size_t>(turn)];
          if (next.connector >= 0 && v.granted != next.connector) {
            a = std::min(a, accelerate(v, limit, to_end - 0.3, 0));
            break;
          }
          const double there = speed_limit(v, turn);
          if (there < limit) limit = std::min(limit, std::sqrt(there * there + 2 * 1.6 * std::max(0.0, to_end)));
          const std::vector<int>& ahead = on_lane[static_cast<std::size_t>(turn)];
          if (!ahead.empty()) {
            const Vehicle& leader = vehicles[static_cast<std::size_t>(ahead.back())];
            a = std::min(a, accelerate(v, limit, to_end + leader.s - length_of(leader), leader.v));
          }
          if (next.connector >= 0) {
            // Somebody who left the same lane for another way may not have parted from ours yet.
            for (const auto& [sibling, parted] : net.connectors[static_cast<std::size_t>(next.connector)].siblings) {
              const int lane_of = net.connectors[static_cast<std::size_t>(sibling)].lane;
              for (const int other : on_lane[static_cast<std::size_t>(lane_of)]) {
                const Vehicle& leader = vehicles[static_cast<std::size_t>(other)];
                const double rear = leader.s - length_of(leader);
                if (rear < parted) a = std::min(a, accelerate(v, limit, to_end + rear, leader.v));
              }
            }
          }
          if (!ahead.empty()) break;
          here = turn;
          to_end += next.path.length();
          turn = net.lanes[static_cast<std::size_t>(here)].next.empty()
                     ? -1
                     : net.lanes[static_cast<std::size_t>(here)].next.front();
        }
      }
      if (lane.connector >= 0 && v.lane == lane.id) {
        for (const auto& [sibling, parted] : net.connectors[static_cast<std::size_t>(lane.connector)].siblings) {
          const int lane_of = net.connectors[static_cast<std::size_t>(sibling)].lane;
          for (const int other : on_lane[static_cast<std::size_t>(lane_of)]) {
            const Vehicle& leader = vehicles[static_cast<std::size_t>(other)];
            const double rear = leader.s - length_of(leader);
            if (rear < parted && leader.s > v.s) a = std::min(a, accelerate(v, limit, rear - v.s, leader.v));
          }
        }
      }
      if (v.stop_lane == lane.id && v.stop_at >= v.s - 0.5) a = std::min(a, accelerate(v, limit, v.stop_at - v.s, 0));
      a = std::min(a, accelerate(v, limit, kFar, 0));
      v.a = std::min(v.a, a);
    }
  }
}

void World::State::move() {
  for (std::size_t slot = 0; slot < vehicles.size(); ++slot) {
    Vehicle& v = vehicles[slot];
    if (!v.alive) continue;
    v.v += v.a * kStepSeconds;
    if (v.v < 0) v.v = 0;
    const double step = v.v * kStepSeconds;
    const double before = v.s;
    v.s += step;
    v.rolled += step;
    if (v.change < 1) {
      v.change += kStepSeconds / 3.2;
      if (v.change >= 1) {
        v.change = 1;
        erase(static_cast<int>(slot), v.other);
        v.other = -1;
      }
    }
    for (const CountLine& line : net.lines) {
      if (line.lane != v.lane || !(before < line.at && line.at <= v.s)) continue;
      const int turn = next_lane(v);
      SignalState signal = SignalState::kGreen;
      if (turn >= 0 && net.lanes[static_cast<std::size_t>(turn)].connector >= 0) {
        const int group =
            net.connectors[static_cast<std::size_t>(net.lanes[static_cast<std::size_t>(turn)].connector)].signal;
        if (group >= 0) signal = signals[static_cast<std::size_t>(group)];
      }
      tell(EventKind::kCrossing, line.name, &v, signal);
      if (signal == SignalState::kRed) tell(EventKind::kViolation, "red_light", &v, signal);
    }
    const Lane& lane = net.lanes[static_cast<std::size_t>(v.lane)];
    if (v.s < lane.path.length()) continue;
    const int next = next_lane(v);
    if (next < 0) {
      // Leaves once its tail has gone too.
      if (v.s - length_of(v) > lane.path.length()) remove(static_cast<int>(slot));
      continue;
    }
    erase(static_cast<int>(slot), v.lane);
    v.s -= lane.path.length();
    v.before_previous = v.previous;
    v.previous = v.lane;
    v.lane = next;
    v.turn = -1;
    on_lane[static_cast<std::size_t>(next)].push_back(static_cast<int>(slot));
  }
}

void World::State::change_lanes() {
  constexpr double kPoliteness = 0.25;
  constexpr double kGain = 0.25;        // m/s^2 that a change must bring
  constexpr double kSafeBraking = 2.5;  // m/s^2 asked of the new follower at most
  for (std::size_t slot = 0; slot < vehicles.size(); ++slot) {
    Vehicle& v = vehicles[slot];
    if (!v.alive || v.other >= 0 || now_ms < v.next_change_ms || v.stop_lane >= 0) continue;
    const Lane& lane = net.lanes[static_cast<std::size_t>(v.lane)];
    if (lane.left < 0 && lane.right < 0) continue;
    v.next_change_ms = now_ms + 500;
    if (v.v < 1 || v.s < 30 || v.s > lane.path.length() - 30) continue;
    int best = -1;
    double best_gain = kGain;
    for (const int target : {lane.left, lane.right}) {
      if (target < 0 || closed[static_cast<std::size_t>(target)] != 0) continue;
      if (target == lane.left && lane.left >= 0 && net.lanes[static_cast<std::size_t>(target)].left < 0 &&
          class_of(v.kind) == 5) {
        continue;  // lorries keep out of the lane beside the median
      }
      const Vehicle* leader = nullptr;
      const Vehicle* follower = nullptr;
      for (const int other : on_lane[static_cast<std::size_t>(target)]) {
        const Vehicle& o = vehicles[static_cast<std::size_t>(other)];
        if (o.s >= v.s) {
          leader = &o;
        } else {
          follower = &o;
          break;
        }
      }
      const double gap_ahead = leader != nullptr ? leader->s - length_of(*leader) - v.s : kFar;
      const double gap_behind = follower != nullptr ? v.s - length_of(v) - follower->s : kFar;
      if (gap_ahead < v.gap + 1 || gap_behind < 3) continue;
      const double mine = accelerate(v, speed_limit(v, target), gap_ahead, leader != nullptr ? leader->v : 0);
      double theirs = 0;
      if (follower != nullptr) {
        theirs = accelerate(*follower, speed_limit(*follower, target), gap_behind, v.v);
        if (theirs < -kSafeBraking) continue;
      }
      const double cost = follower != nullptr ? kPoliteness * std::min(0.0, theirs - follower->a) : 0;
      const double keep_right = target == lane.right ? 0.2 : -0.1;
      const double gain = mine - v.a + cost + keep_right;
      if (gain > best_gain) {
        best_gain = gain;
        best = target;
      }
    }
    if (best < 0) continue;
    v.other = v.lane;
    v.change = 0;
    v.change_side = (net.lanes[static_cast<std::size_t>(v.lane)].right == best ? -1 : 1) * 3.6;
    v.lane = best;
    v.next_change_ms = now_ms + 6000;
    insert(static_cast<int>(slot), best);
    ++counts.lane_changes;
  }
}

}  // namespace gantry::scene
