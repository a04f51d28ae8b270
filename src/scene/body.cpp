#include "scene/body.hpp"

#include <array>

namespace gantry::scene {
namespace {

//                                              length width height wheelbase front overhang
constexpr std::array<BodySize, kBodyKindCount> kSizes{{
    {4.05, 1.76, 1.48, 2.55, 0.82},  // hatchback
    {4.70, 1.84, 1.45, 2.80, 0.90},  // sedan
    {4.60, 1.90, 1.70, 2.70, 0.90},  // SUV
    {5.30, 2.00, 2.10, 3.20, 0.95},  // van
    {7.60, 2.45, 3.35, 4.20, 1.25},  // box truck
    {8.60, 2.50, 2.75, 4.90, 1.35},  // flat truck
    {14.8, 2.55, 3.90, 9.50, 1.45},  // long truck
    {11.9, 2.55, 3.05, 5.90, 2.70},  // city bus
    {11.5, 2.55, 3.55, 6.10, 2.60},  // coach
    {2.15, 0.80, 1.55, 1.40, 0.38},  // motorcycle with its rider
    {1.80, 0.62, 1.75, 1.06, 0.35},  // bicycle with its rider
    {0.55, 0.60, 1.74, 0.20, 0.17},  // person
}};
constexpr std::array<int, kBodyKindCount> kClasses{2, 2, 2, 2, 5, 5, 5, 4, 4, 3, 1, 0};

bool separated(const Footprint& a, const Footprint& b, Vec2 axis) noexcept {
  const double distance = std::fabs(dot(b.centre - a.centre, axis));
  const auto reach = [axis](const Footprint& f) {
    return f.half_length * std::fabs(dot(f.ahead, axis)) + f.half_width * std::fabs(dot(right_of(f.ahead), axis));
  };
  return distance >= reach(a) + reach(b);
}

}  // namespace

const BodySize& body_size(BodyKind kind) noexcept {
  return kSizes[static_cast<std::size_t>(kind)];
}

int class_of(BodyKind kind) noexcept {
  return kClasses[static_cast<std::size_t>(kind)];
}

Footprint footprint(const BodySize& size, Vec2 front_axle, Vec2 rear_axle, double cushion) noexcept {
  Footprint f;
  const Vec2 along = front_axle - rear_axle;
  const double length = norm(along);
  f.ahead = length > 1e-9 ? (1 / length) * along : Vec2{1, 0};
  f.centre = front_axle + (size.front_overhang - size.length / 2) * f.ahead;
  f.half_length = size.length / 2 + cushion;
  f.half_width = size.width / 2 + cushion;
  return f;
}

bool overlap(const Footprint& a, const Footprint& b) noexcept {
  const Vec2 d = b.centre - a.centre;
  const double far = a.half_length + a.half_width + b.half_length + b.half_width;
  if (dot(d, d) >= far * far) return false;
  return !separated(a, b, a.ahead) && !separated(a, b, right_of(a.ahead)) && !separated(a, b, b.ahead) &&
         !separated(a, b, right_of(b.ahead));
}

}  // namespace gantry::scene
