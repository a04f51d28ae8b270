#include "scene/world.hpp"

#include <algorithm>
#include <utility>

#include "scene/traffic.hpp"

namespace gantry::scene {
namespace {

std::uint64_t seed_of(const WorldOptions& o) {
  std::uint64_t h = mix64(o.seed);
  for (const char c : o.scene) h = mix64(h ^ static_cast<unsigned char>(c));
  h = mix64(h ^ static_cast<std::uint64_t>(o.hour * 1000));
  return mix64(h ^ static_cast<std::uint64_t>(o.density * 1000));
}

}  // namespace

World::State::State(const WorldOptions& world_options)
    : options(world_options), net(make_network(world_options.scene)), rng(seed_of(world_options)) {
  on_lane.resize(net.lanes.size());
  grants.resize(net.connectors.size());
  closed.resize(net.lanes.size(), 0);
  slowed.resize(net.lanes.size(), 0);
  for (int lane = net.bottleneck_lane; lane >= 0; lane = net.lanes[static_cast<std::size_t>(lane)].left) {
    slowed[static_cast<std::size_t>(lane)] = 1;
  }
  people_wait.resize(net.crosswalks.size(), 0);
  entries.resize(net.entries.size());
  signals.resize(net.signals.size(), SignalState::kRed);
  for (const IncidentRequest& request : options.incidents) incidents.push_back({request});
}

void World::State::step() {
  if (now_ms % kDecisionSteps == 0) {
    update_signals();
    demand_step();
    walk();
    decide_junctions();
    change_lanes();
    play_incidents();
  }
  follow();
  move();
  ++now_ms;
}

Vec2 World::State::behind(const Vehicle& v, double distance) const noexcept {
  double s = v.s - distance;
  int lane = v.lane;
  if (s < 0 && v.previous >= 0) {
    lane = v.previous;
    s += net.lanes[static_cast<std::size_t>(lane)].path.length();
    if (s < 0 && v.before_previous >= 0) {
      lane = v.before_previous;
      s += net.lanes[static_cast<std::size_t>(lane)].path.length();
    }
  }
  const Pose p = net.lanes[static_cast<std::size_t>(lane)].path.pose(s);
  double side = v.side;
  if (v.change < 1) {
    // Smooth from one lane's centre to the next; the rear follows the front.
    const double lag = v.v > 1 ? distance / v.v / 3.2 : 0;
    const double t = std::clamp(v.change - lag, 0.0, 1.0);
    side += v.change_side * (1 - t * t * (3 - 2 * t));
  }
  return p.at + side * right_of(unit(p.heading));
}

Footprint World::State::ground(const Vehicle& v) const noexcept {
  const BodySize& size = body_size(v.kind);
  return footprint(size, behind(v, size.front_overhang), behind(v, size.front_overhang + size.wheelbase));
}

void World::State::tell(EventKind kind, std::string what, const Vehicle* v, SignalState signal) {
  if (now_ms < 0) return;
  WorldEvent event;
  event.at_ms = now_ms;
  event.kind = kind;
  event.what = std::move(what);
  event.signal = signal;
  if (v != nullptr) {
    event.object = v->id;
    event.body = v->kind;
    event.lane = v->lane;
    event.speed = v->v;
  }
  events.push_back(std::move(event));
}

World::World(const WorldOptions& options, double warm_up_s) : state_(new State(options)) {
  State& s = *state_;
  s.now_ms = -static_cast<std::int64_t>(warm_up_s * 1000);
  // A whole number of decisions lies between the start and 0, so that the lights' phase does not depend on the warm-up.
  s.now_ms -= (kDecisionSteps + s.now_ms % kDecisionSteps) % kDecisionSteps;
  s.demand = s.by_demand();
  s.next_walker_ms = s.now_ms;
  for (std::size_t i = 0; i < s.entries.size(); ++i) {
    const double rate = s.net.entries[i].peak_rate * s.demand;
    s.entries[i].next_ms =
        s.now_ms + (rate > 0 ? static_cast<std::int64_t>(s.rng.exponential(3600.0 * 1000.0 / rate)) : 0);
  }
  Rng parking(seed_of(options) ^ 0x9A4CULL);
  for (const Pose& place : s.net.parked) {
    if (!parking.chance(0.62)) continue;
    ObjectState car;
    car.id = s.next_id++;
    constexpr BodyKind kKinds[4] = {BodyKind::kHatchback, BodyKind::kSedan, BodyKind::kSuv, BodyKind::kVan};
    car.kind = kKinds[parking.below(4)];
    car.look = static_cast<std::uint32_t>(parking.bits());
    car.x = static_cast<float>(place.at.x + parking.uniform(-0.4, 0.4));
    car.y = static_cast<float>(place.at.y + parking.uniform(-0.1, 0.1));
    car.heading = static_cast<float>(place.heading + parking.uniform(-0.02, 0.02));
    s.parked.push_back(car);
  }
  while (s.now_ms < 0) s.step();
}

World::~World() {
  delete state_;
}

void World::advance_to(std::int64_t at_ms) {
  while (state_->now_ms < at_ms) state_->step();
}

std::int64_t World::now_ms() const noexcept {
  return state_->now_ms;
}

const Network& World::network() const noexcept {
  return state_->net;
}

const WorldCounts& World::counts() const noexcept {
  return state_->counts;
}

void World::take_events(std::vector<WorldEvent>& out) {
  out.clear();
  out.swap(state_->events);
}

void World::snapshot(Snapshot& out) const {
  const State& s = *state_;
  out.at_ms = s.now_ms;
  out.signals = s.signals;
  out.objects = s.parked;
  for (const Vehicle& v : s.vehicles) {
    if (!v.alive) continue;
    const Footprint f = s.ground(v);
    ObjectState o;
    o.id = v.id;
    o.kind = v.kind;
    o.look = v.look;
    o.x = static_cast<float>(f.centre.x);
    o.y = static_cast<float>(f.centre.y);
    o.heading = static_cast<float>(det_atan2(f.ahead.y, f.ahead.x));
    o.speed = static_cast<float>(v.v);
    o.stride = static_cast<float>(v.rolled);
    o.lane = v.lane;
    o.braking = v.a < -0.7 || v.v < 0.3;
    if (v.other >= 0) o.indicator = v.change_side > 0 ? 1 : -1;
    const int turn = s.net.lanes[static_cast<std::size_t>(v.lane)].connector >= 0 ? v.lane : v.turn;
    if (turn >= 0) {
      const std::string& name = s.net.lanes[static_cast<std::size_t>(turn)].name;
      if (name.ends_with("left")) o.indicator = 1;
      if (name.ends_with("right")) o.indicator = -1;
    }
    if (v.stop_lane >= 0 && v.v < 1) o.indicator = 2;
    out.objects.push_back(o);
  }
  for (const Walker& w : s.walkers) {
    ObjectState o;
    o.id = w.id;
    o.kind = BodyKind::kPerson;
    o.look = w.look;
    o.x = static_cast<float>(w.at.x);
    o.y = static_cast<float>(w.at.y);
    o.heading = static_cast<float>(w.heading);
    o.speed = static_cast<float>(w.v);
    o.stride = static_cast<float>(w.walked);
    out.objects.push_back(o);
  }
  std::sort(out.objects.begin(), out.objects.end(),
            [](const ObjectState& a, const ObjectState& b) { return a.id < b.id; });
}

void interpolate(const Snapshot& a, const Snapshot& b, double at_ms, Snapshot& out) {
  const double span = static_cast<double>(b.at_ms - a.at_ms);
  const float t = span > 0 ? static_cast<float>((at_ms - static_cast<double>(a.at_ms)) / span) : 0.0F;
  out.at_ms = static_cast<std::int64_t>(at_ms);
  out.signals = a.signals;
  out.objects.clear();
  std::size_t j = 0;
  for (const ObjectState& from : a.objects) {
    while (j < b.objects.size() && b.objects[j].id < from.id) ++j;
    out.objects.push_back(from);
    if (j >= b.objects.size() || b.objects[j].id != from.id) continue;
    const ObjectState& to = b.objects[j];
    ObjectState& o = out.objects.back();
    o.x += t * (to.x - from.x);
    o.y += t * (to.y - from.y);
    o.heading += t * static_cast<float>(wrap_angle(static_cast<double>(to.heading) - from.heading));
    o.speed += t * (to.speed - from.speed);
    o.stride += t * (to.stride - from.stride);
  }
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> World::overlaps() const {
  const State& s = *state_;
  std::vector<std::pair<std::uint32_t, Footprint>> bodies;
  for (const Vehicle& v : s.vehicles) {
    if (v.alive) bodies.emplace_back(v.id, s.ground(v));
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    for (std::size_t j = i + 1; j < bodies.size(); ++j) {
      if (overlap(bodies[i].second, bodies[j].second)) pairs.emplace_back(bodies[i].first, bodies[j].first);
    }
  }
  return pairs;
}

}  // namespace gantry::scene
