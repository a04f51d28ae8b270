// Who appears when, and incidents on demand.
#include <algorithm>

#include "scene/traffic.hpp"

namespace gantry::scene {
namespace {

/// Share of the peak hour's demand at each full hour: a weekday's two peaks.
constexpr std::array<double, 25> kByHour{0.10, 0.06, 0.05, 0.05, 0.09, 0.25, 0.55, 0.92, 1.00, 0.78, 0.66, 0.68, 0.72,
                                         0.72, 0.74, 0.82, 0.94, 1.00, 0.92, 0.70, 0.52, 0.40, 0.30, 0.18, 0.10};

double by_hour(double hour) noexcept {
  const double h = std::clamp(hour, 0.0, 23.999);
  const int i = static_cast<int>(h);
  const double t = h - i;
  return kByHour[static_cast<std::size_t>(i)] * (1 - t) + kByHour[static_cast<std::size_t>(i) + 1] * t;
}

/// What a share becomes where every class is wanted about equally often.
double blend(double share, double equal, double variety) noexcept {
  return share + (equal - share) * variety;
}

BodyKind draw_kind(Rng& rng, const Network& net, LaneUse use, bool right_lane, const WorldOptions& options) {
  if (use == LaneUse::kBicycles) return BodyKind::kBicycle;
  const bool night = options.hour < 5 || options.hour > 22;
  double truck = net.truck_share * (night ? 1.4 : 1);
  if (net.fast) truck *= right_lane ? 2.0 : 0.5;
  truck = blend(truck, 0.16, options.variety);
  const double bus = blend(net.bus_share, 0.18, options.variety);
  const double motorcycle = blend(net.motorcycle_share, 0.22, options.variety);
  const double bicycle = net.fast ? net.bicycle_share : blend(net.bicycle_share, 0.14, options.variety);
  const double draw = rng.uniform();
  double edge = truck;
  if (draw < edge) {
    if (rng.chance(net.long_truck_share)) return BodyKind::kLongTruck;
    return rng.chance(0.65) ? BodyKind::kBoxTruck : BodyKind::kFlatTruck;
  }
  if (draw < (edge += bus)) return net.coaches || rng.chance(0.15) ? BodyKind::kCoach : BodyKind::kCityBus;
  if (draw < (edge += motorcycle)) return BodyKind::kMotorcycle;
  if (draw < (edge += bicycle)) return BodyKind::kBicycle;
  const double car = rng.uniform();
  if (car < 0.32) return BodyKind::kHatchback;
  if (car < 0.60) return BodyKind::kSedan;
  if (car < 0.88) return BodyKind::kSuv;
  return BodyKind::kVan;
}

}  // namespace

double World::State::by_demand() const noexcept {
  return options.density * by_hour(options.hour);
}

int World::State::place(BodyKind kind, int lane, double s, double v, std::uint64_t look) {
  int slot = 0;
  if (free_slots.empty()) {
    slot = static_cast<int>(vehicles.size());
    vehicles.emplace_back();
  } else {
    slot = free_slots.back();
    free_slots.pop_back();
  }
  Vehicle vehicle;
  vehicle.id = next_id++;
  vehicle.kind = kind;
  vehicle.look = static_cast<std::uint32_t>(mix64(look) >> 16);
  vehicle.alive = true;
  vehicle.lane = lane;
  vehicle.s = s;
  vehicle.v = v;
  vehicle.next_change_ms = now_ms + 2000;
  Rng own(look);
  const double eager = own.normal();
  vehicle.wish = std::clamp((net.fast ? 0.98 : 1.0) + (net.fast ? 0.10 : 0.07) * eager, 0.75, 1.18);
  vehicle.headway = own.uniform(net.fast ? 0.9 : 1.0, 1.7);
  vehicle.gap = own.uniform(1.6, 2.8);
  vehicle.accel = own.uniform(1.2, 2.0);
  vehicle.brake = own.uniform(1.7, 2.4);
  vehicle.side = own.uniform(-0.22, 0.22);
  switch (kind) {
    case BodyKind::kBoxTruck:
    case BodyKind::kFlatTruck:
    case BodyKind::kLongTruck:
      vehicle.top = own.uniform(22.2, 25.0);
      vehicle.accel = own.uniform(0.6, 1.0);
      vehicle.side *= 0.4;
      break;
    case BodyKind::kCityBus:
    case BodyKind::kCoach:
      vehicle.top = 27.8;
      vehicle.accel = own.uniform(0.8, 1.1);
      vehicle.side *= 0.3;
      break;
    case BodyKind::kMotorcycle:
      vehicle.accel = own.uniform(1.8, 2.8);
      vehicle.side = own.uniform(-0.6, 0.6);
      break;
    case BodyKind::kBicycle:
      vehicle.top = own.uniform(3.6, 6.2);
      vehicle.accel = own.uniform(0.5, 0.9);
      vehicle.wish = 1;
      vehicle.side =
          net.lanes[static_cast<std::size_t>(lane)].use == LaneUse::kBicycles ? own.uniform(-0.25, 0.25) : 0.85;
      break;
    default:
      break;
  }
  vehicles[static_cast<std::size_t>(slot)] = vehicle;
  insert(slot, lane);
  ++counts.spawned;
  return slot;
}

bool World::State::appear(const Entry& entry) {
  if (closed[static_cast<std::size_t>(entry.lane)] != 0) return false;
  const Lane& lane = net.lanes[static_cast<std::size_t>(entry.lane)];
  const std::vector<int>& list = on_lane[static_cast<std::size_t>(entry.lane)];
  double room = 1e9;
  double leader_speed = 0;
  if (!list.empty()) {
    const Vehicle& last = vehicles[static_cast<std::size_t>(list.back())];
    room = last.s - body_size(last.kind).length;
    leader_speed = last.v;
  }
  if (room < 4) return false;
  const bool right_lane = lane.right < 0;
  const BodyKind kind = draw_kind(rng, net, lane.use, right_lane, options);
  const std::uint64_t look = rng.bits();
  const int slot = place(kind, entry.lane, 0, 0, look);
  Vehicle& v = vehicles[static_cast<std::size_t>(slot)];
  double speed = speed_limit(v, entry.lane);
  if (room < 1e8) {
    // As fast as a driver at rest with the gap would be.
    speed = std::min(speed, std::max(leader_speed, 0.0) + std::max(0.0, (room - v.gap) / 2.5 - leader_speed * 0.4));
    const double b = kHardBraking * 0.5;
    speed = std::min(speed, std::sqrt(leader_speed * leader_speed + 2 * b * std::max(0.0, room - 2)));
  }
  v.v = std::max(0.0, speed);
  if (!entry.choices.empty()) {
    double draw = rng.uniform();
    v.turn = entry.choices.back().first;
    for (const auto& [turn, share] : entry.choices) {
      draw -= share;
      if (draw < 0) {
        v.turn = turn;
        break;
      }
    }
  }
  return true;
}

void World::State::demand_step() {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EntryState& state = entries[i];
    const double rate = net.entries[i].peak_rate * demand;
    if (rate > 0) {
      while (now_ms >= state.next_ms) {
        state.waiting = std::min(state.waiting + 1, 30);
        state.next_ms += 1 + static_cast<std::int64_t>(rng.exponential(3600.0 * 1000.0 / rate));
      }
    }
    if (state.waiting > 0 && appear(net.entries[i])) --state.waiting;
  }
  const double foot_rate = net.foot_rate * demand * (1 + 2 * options.variety);
  if (foot_rate <= 0 || net.footways.empty()) return;
  while (now_ms >= next_walker_ms) {
    Walker w;
    w.id = next_id++;
    w.look = static_cast<std::uint32_t>(rng.bits());
    w.footway = rng.below(static_cast<int>(net.footways.size()));
    w.speed = rng.uniform(1.05, 1.65);
    w.side = rng.uniform(-1.1, 1.1);
    const Footway& way = net.footways[static_cast<std::size_t>(w.footway)];
    const Vec2 d = way.points[1] - way.points[0];
    w.heading = det_atan2(d.y, d.x);
    w.at = way.points[0] + w.side * right_of(unit(w.heading));
    walkers.push_back(w);
    ++counts.people;
    next_walker_ms += 1 + static_cast<std::int64_t>(rng.exponential(3600.0 * 1000.0 / foot_rate));
  }
}

void World::State::play_incidents() {
  for (IncidentState& incident : incidents) {
    if (incident.phase == 2 || now_ms < static_cast<std::int64_t>(incident.request.at_s * 1000)) continue;
    Vehicle* v = incident.vehicle >= 0 ? &vehicles[static_cast<std::size_t>(incident.vehicle)] : nullptr;
    if (v != nullptr && (!v->alive || v->id != incident.object)) v = nullptr;
    switch (incident.request.kind) {
      case Incident::kRedLight: {
        if (incident.phase == 1) {
          // Over once it has crossed its line; try another where it could not go after all.
          if (v == nullptr || net.lanes[static_cast<std::size_t>(v->lane)].connector >= 0) {
            incident.phase = 2;
          } else if (v->granted < 0 && now_ms - incident.since_ms > 4000) {
            v->runs_red = false;
            incident.phase = 0;
          }
          break;
        }
        for (const Connector& c : net.connectors) {
          if (c.signal < 0 || signals[static_cast<std::size_t>(c.signal)] != SignalState::kRed) continue;
          const std::vector<int>& list = on_lane[static_cast<std::size_t>(c.from)];
          if (list.empty()) continue;
          Vehicle& first = vehicles[static_cast<std::size_t>(list.front())];
          const double distance = net.lanes[static_cast<std::size_t>(c.from)].path.length() - first.s;
          const int connector = net.lanes[static_cast<std::size_t>(c.lane)].connector;
          if (next_lane(first) != c.lane || class_of(first.kind) != 2 || distance < 3 || distance > 45 || first.v < 4)
            continue;
          if (!may_enter(list.front(), connector)) continue;
          first.runs_red = true;
          incident.phase = 1;
          incident.vehicle = list.front();
          incident.object = first.id;
          incident.since_ms = now_ms;
          break;
        }
        break;
      }
      case Incident::kWrongWay: {
        const int lane = net.wrong_way_lane;
        if (lane < 0) {
          incident.phase = 2;
        } else if (incident.phase == 0) {
          const int closes = net.wrong_way_closes;
          if (closes >= 0) {
            closed[static_cast<std::size_t>(closes)] = 1;
            bool busy = !on_lane[static_cast<std::size_t>(closes)].empty();
            for (std::size_t i = 0; i < net.connectors.size(); ++i) {
              busy = busy || (net.connectors[i].to == closes && !grants[i].empty());
            }
            if (busy) break;
          }
          const int slot = place(BodyKind::kSuv, lane, 0, 7, rng.bits());
          Vehicle& driver = vehicles[static_cast<std::size_t>(slot)];
          driver.wrong_way = true;
          incident.vehicle = slot;
          incident.object = driver.id;
          incident.phase = 1;
          tell(EventKind::kViolation, "wrong_way", &driver);
        } else if (v == nullptr || v->lane != lane) {
          // Off the closed lane once its tail is in the junction.
          const bool clear = v == nullptr || v->s > body_size(v->kind).length + 1;
          if (clear) {
            if (net.wrong_way_closes >= 0) closed[static_cast<std::size_t>(net.wrong_way_closes)] = 0;
            incident.phase = 2;
          }
        }
        break;
      }
      case Incident::kSpeeding: {
        if (incident.phase == 1) {
          if (v == nullptr) {
            incident.phase = incident.told ? 2 : 0;
          } else if (!incident.told && v->v > 1.2 * net.lanes[static_cast<std::size_t>(v->lane)].speed_limit) {
            incident.told = true;
            tell(EventKind::kViolation, "speeding", v);
          }
          break;
        }
        // The car with the emptiest road ahead.
        double best = 60;
        for (const Lane& lane : net.lanes) {
          if (lane.connector >= 0 || lane.use != LaneUse::kVehicles) continue;
          const std::vector<int>& list = on_lane[static_cast<std::size_t>(lane.id)];
          for (std::size_t i = 0; i < list.size(); ++i) {
            const Vehicle& car = vehicles[static_cast<std::size_t>(list[i])];
            const double end = lane.next.empty() ? lane.path.length() - 40 : lane.path.length() - 60;
            const double ahead =
                i == 0 ? end - car.s : std::min(end, vehicles[static_cast<std::size_t>(list[i - 1])].s) - car.s;
            if (class_of(car.kind) != 2 || car.other >= 0 || car.v < 6 || ahead < best) continue;
            best = ahead;
            incident.vehicle = list[i];
          }
        }
        if (best > 60) {
          Vehicle& car = vehicles[static_cast<std::size_t>(incident.vehicle)];
          car.speeds = true;
          car.accel = 3.2;
          incident.object = car.id;
          incident.phase = 1;
        }
        break;
      }
      case Incident::kStopped: {
        if (incident.phase == 0) {
          if (net.stopped_lane < 0) {
            incident.phase = 2;
            break;
          }
          for (const int slot : on_lane[static_cast<std::size_t>(net.stopped_lane)]) {
            Vehicle& car = vehicles[static_cast<std::size_t>(slot)];
            if (car.other >= 0 || car.s + car.v * car.v / 4 + 2 > net.stopped_at) continue;
            car.stop_lane = net.stopped_lane;
            car.stop_at = net.stopped_at;
            incident.vehicle = slot;
            incident.object = car.id;
            incident.phase = 1;
            break;
          }
        } else if (v == nullptr) {
          incident.phase = 2;
        } else if (v->v < 0.1 && !incident.told) {
          incident.told = true;
          incident.since_ms = now_ms;
          tell(EventKind::kViolation, "stopped", v);
        } else if (incident.told && now_ms - incident.since_ms > 60'000) {
          v->stop_lane = -1;
          v->stop_at = -1;
          incident.phase = 2;
        }
        break;
      }
      case Incident::kQueue: {
        if (incident.phase == 0) {
          bottleneck_speed = net.fast ? 1.5 : 1.2;
          incident.phase = 1;
          incident.since_ms = now_ms;
        } else {
          int slow = 0;
          for (const int slot : on_lane[static_cast<std::size_t>(std::max(net.bottleneck_lane, 0))]) {
            slow += vehicles[static_cast<std::size_t>(slot)].v < (net.fast ? 6 : 2.5) ? 1 : 0;
          }
          if (slow >= 5 && !incident.told) {
            incident.told = true;
            const int slot = on_lane[static_cast<std::size_t>(net.bottleneck_lane)].back();
            tell(EventKind::kViolation, "queue", &vehicles[static_cast<std::size_t>(slot)]);
          }
          if (now_ms - incident.since_ms > 120'000) {
            bottleneck_speed = -1;
            incident.phase = 2;
          }
        }
        break;
      }
    }
  }
}

}  // namespace gantry::scene
