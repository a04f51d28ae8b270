#include "scene/network.hpp"

#include <algorithm>
#include <utility>

#include "scene/body.hpp"

namespace gantry::scene {

Path::Path(Vec2 start, double heading) {
  pieces_.push_back({{start, heading}, 0, 0});
}

Path& Path::straight(double length) {
  return arc(0, length);
}

Path& Path::arc(double radius, double angle) {
  // straight() passes its length as the "angle" of radius 0.
  Piece& last = pieces_.back();
  last.curvature = radius == 0 ? 0 : (angle > 0 ? 1 / radius : -1 / radius);
  last.length = radius == 0 ? angle : radius * std::fabs(angle);
  Piece next;
  const Vec2 ahead = unit(last.start.heading);
  if (radius == 0) {
    next.start = {last.start.at + last.length * ahead, last.start.heading};
  } else {
    const double side = angle > 0 ? 1 : -1;
    const Vec2 centre = last.start.at - side * radius * right_of(ahead);
    next.start.heading = last.start.heading + angle;
    next.start.at = centre + side * radius * right_of(unit(next.start.heading));
  }
  length_ += last.length;
  pieces_.push_back(next);
  return *this;
}

Path& Path::finish() {
  const int count = static_cast<int>(std::ceil(length_ / kSampleStep)) + 1;
  samples_.clear();
  samples_.reserve(static_cast<std::size_t>(count));
  std::size_t piece = 0;
  double before = 0;
  for (int i = 0; i < count; ++i) {
    const double s = std::min(i * kSampleStep, length_);
    while (piece + 2 < pieces_.size() && s > before + pieces_[piece].length) before += pieces_[piece++].length;
    const Piece& p = pieces_[piece];
    const double along = s - before;
    const Vec2 ahead = unit(p.start.heading);
    if (p.curvature == 0) {
      samples_.push_back({p.start.at + along * ahead, p.start.heading});
    } else {
      const double heading = p.start.heading + along * p.curvature;
      const Vec2 centre = p.start.at - (1 / p.curvature) * right_of(ahead);
      samples_.push_back({centre + (1 / p.curvature) * right_of(unit(heading)), heading});
    }
  }
  return *this;
}

Pose Path::pose(double s) const noexcept {
  if (s <= 0) {
    const Pose& p = samples_.front();
    return {p.at + s * unit(p.heading), p.heading};
  }
  if (s >= length_) {
    const Pose& p = samples_.back();
    return {p.at + (s - length_) * unit(p.heading), p.heading};
  }
  const std::size_t last = samples_.size() - 1;
  const std::size_t i = std::min(static_cast<std::size_t>(s / kSampleStep), last - 1);
  const double from = static_cast<double>(i) * kSampleStep;
  const double step = i + 1 == last ? length_ - from : kSampleStep;
  const double t = (s - from) / step;
  const Pose& a = samples_[i];
  const Pose& b = samples_[i + 1];
  return {a.at + t * (b.at - a.at), a.heading + t * (b.heading - a.heading)};
}

Path Path::beside(double offset) const {
  Path path = *this;
  for (Pose& p : path.samples_) p.at = p.at + offset * right_of(unit(p.heading));
  return path;
}

Path Path::reversed() const {
  Path path;
  path.length_ = length_;
  const int count = static_cast<int>(samples_.size());
  for (int i = 0; i < count; ++i) {
    Pose p = pose(length_ - std::min(i * kSampleStep, length_));
    p.heading += kPi;
    path.samples_.push_back(p);
  }
  return path;
}

int Network::add_lane(Lane lane) {
  lane.id = static_cast<int>(lanes.size());
  lanes.push_back(std::move(lane));
  return lanes.back().id;
}

int Network::connect(int from, int to, Path path, std::string name, int signal, double speed_limit) {
  Lane lane;
  lane.name = std::move(name);
  lane.path = std::move(path);
  lane.speed_limit = speed_limit;
  lane.use = lanes[static_cast<std::size_t>(from)].use;
  lane.width = lanes[static_cast<std::size_t>(from)].width;
  lane.connector = static_cast<int>(connectors.size());
  lane.next = {to};
  const int id = add_lane(std::move(lane));
  lanes[static_cast<std::size_t>(from)].next.push_back(id);
  Connector connector;
  connector.lane = id;
  connector.from = from;
  connector.to = to;
  connector.signal = signal;
  connectors.push_back(std::move(connector));
  return id;
}

namespace {

constexpr double kStep = 0.5;      // metres between the positions that are tried
constexpr double kCushion = 0.25;  // metres added around a body, at least half of a step's sweep

/// The bodies of the largest vehicle that uses a connector at each position of its front bumper, from the stop line
/// until the rear has left.
std::vector<Footprint> sweep(const Network& network, const Connector& connector) {
  const Lane& lane = network.lanes[static_cast<std::size_t>(connector.lane)];
  const Lane& from = network.lanes[static_cast<std::size_t>(connector.from)];
  const Lane& to = network.lanes[static_cast<std::size_t>(connector.to)];
  BodySize size = lane.use == LaneUse::kBicycles ? body_size(BodyKind::kBicycle) : body_size(BodyKind::kCityBus);
  if (lane.use == LaneUse::kWrongWay) size = body_size(BodyKind::kSuv);
  const auto point = [&](double s) {
    if (s < 0) return from.path.pose(from.path.length() + s).at;
    if (s > lane.path.length()) return to.path.pose(s - lane.path.length()).at;
    return lane.path.pose(s).at;
  };
  std::vector<Footprint> bodies;
  const double end = lane.path.length() + size.length + 1;
  for (int i = 0; i * kStep <= end; ++i) {
    const double s = i * kStep;
    bodies.push_back(
        footprint(size, point(s - size.front_overhang), point(s - size.front_overhang - size.wheelbase), kCushion));
  }
  return bodies;
}

/// First and last position of `a` that touches a body of `b`; false where none does.
bool touching(const std::vector<Footprint>& a, const std::vector<Footprint>& b, double& enter, double& leave) {
  int first = -1;
  int last = -1;
  for (int i = 0; i < static_cast<int>(a.size()); ++i) {
    for (const Footprint& other : b) {
      if (!overlap(a[static_cast<std::size_t>(i)], other)) continue;
      if (first < 0) first = i;
      last = i;
      break;
    }
  }
  if (first < 0) return false;
  enter = (first - 1) * kStep;
  leave = (last + 1) * kStep;
  return true;
}

}  // namespace

void Network::find_conflicts(bool (*yields)(const Network&, const Connector&, const Connector&)) {
  std::vector<std::vector<Footprint>> bodies;
  for (const Connector& c : connectors) bodies.push_back(sweep(*this, c));
  for (std::size_t i = 0; i < connectors.size(); ++i) {
    Connector& a = connectors[i];
    for (std::size_t j = 0; j < connectors.size(); ++j) {
      if (i == j) continue;
      const Connector& b = connectors[j];
      const Path& pa = lanes[static_cast<std::size_t>(a.lane)].path;
      const Path& pb = lanes[static_cast<std::size_t>(b.lane)].path;
      if (a.from == b.from) {
        // Car-following until the paths are a bus's sweep apart.
        double s = 0;
        while (s < std::min(pa.length(), pb.length()) && norm(pa.pose(s).at - pb.pose(s).at) < 5.5) s += 1;
        a.siblings.emplace_back(static_cast<int>(j), s);
        continue;
      }
      Conflict conflict;
      conflict.other = static_cast<int>(j);
      if (touching(bodies[i], bodies[j], conflict.enter, conflict.leave) &&
          touching(bodies[j], bodies[i], conflict.other_enter, conflict.other_leave)) {
        conflict.yields = yields(*this, a, b);
        a.conflicts.push_back(conflict);
      }
    }
    for (std::size_t k = 0; k < crosswalks.size(); ++k) {
      const Crosswalk& walk = crosswalks[k];
      const Vec2 along = (1 / norm(walk.to - walk.from)) * (walk.to - walk.from);
      CrosswalkZone zone;
      zone.crosswalk = static_cast<int>(k);
      bool any = false;
      for (std::size_t p = 0; p < bodies[i].size(); ++p) {
        const Footprint& body = bodies[i][p];
        Footprint strip;
        strip.centre = 0.5 * (walk.from + walk.to);
        strip.ahead = along;
        strip.half_length = 0.5 * norm(walk.to - walk.from);
        strip.half_width = 0.5 * walk.width;
        if (!overlap(body, strip)) continue;
        const double s = static_cast<double>(p) * kStep;
        const double reach = std::fabs(dot(body.ahead, along)) * std::min(body.half_length, walk.width) +
                             std::fabs(dot(right_of(body.ahead), along)) * body.half_width + 0.4;
        // Only the part of the body on the strip counts; its centre is moved to where its axis meets the strip.
        const double slope = dot(body.ahead, right_of(along));
        Vec2 meet = body.centre;
        if (std::fabs(slope) > 0.3) {
          meet = body.centre + (dot(strip.centre - body.centre, right_of(along)) / slope) * body.ahead;
        }
        const double across = dot(meet - walk.from, along);
        if (!any) {
          zone.enter = s - kStep;
          zone.from_across = across - reach;
          zone.to_across = across + reach;
          any = true;
        }
        zone.leave = s + kStep;
        zone.from_across = std::min(zone.from_across, across - reach);
        zone.to_across = std::max(zone.to_across, across + reach);
      }
      if (any) a.crosswalks.push_back(zone);
    }
  }
}

}  // namespace gantry::scene
