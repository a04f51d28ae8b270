#pragma once
// The kinds of bodies on the road, their sizes, and the ground that they cover.
#include <cstdint>

#include "scene/det_math.hpp"

namespace gantry::scene {

enum class BodyKind : std::uint8_t {
  kHatchback,
  kSedan,
  kSuv,
  kVan,
  kBoxTruck,
  kFlatTruck,
  kLongTruck,
  kCityBus,
  kCoach,
  kMotorcycle,
  kBicycle,
  kPerson,
};
inline constexpr int kBodyKindCount = 12;

struct BodySize {
  double length = 0, width = 0, height = 0;  ///< metres
  double wheelbase = 0, front_overhang = 0;  ///< metres
};

[[nodiscard]] const BodySize& body_size(BodyKind kind) noexcept;
/// Class index in the order person, bicycle, car, motorcycle, bus, truck.
[[nodiscard]] int class_of(BodyKind kind) noexcept;

/// A rectangle on the ground.
struct Footprint {
  Vec2 centre;
  Vec2 ahead;  ///< unit vector
  double half_length = 0, half_width = 0;
};

/// Of a body whose front axle and rear axle stand at these points, grown by `cushion` all around.
[[nodiscard]] Footprint footprint(const BodySize& size, Vec2 front_axle, Vec2 rear_axle, double cushion = 0) noexcept;
/// Whether two rectangles share ground (separating axes).
[[nodiscard]] bool overlap(const Footprint& a, const Footprint& b) noexcept;

}  // namespace gantry::scene
