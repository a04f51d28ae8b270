#include "scene/paint.hpp"

#include "scene/det_math.hpp"

namespace gantry::scene {
namespace {

Vec3 car_colour(Rng& rng) {
  // Shares of new cars in Europe: greys, black and white lead, then blue and red.
  const double d = rng.uniform();
  const auto v = static_cast<float>(rng.uniform(0.85, 1.15));
  if (d < 0.22) return v * Vec3{0.66F, 0.66F, 0.64F};     // white
  if (d < 0.40) return v * Vec3{0.018F, 0.018F, 0.020F};  // black
  if (d < 0.56) return v * Vec3{0.09F, 0.095F, 0.10F};    // dark grey
  if (d < 0.72) return v * Vec3{0.34F, 0.35F, 0.36F};     // silver
  if (d < 0.82) return v * Vec3{0.025F, 0.055F, 0.19F};   // blue
  if (d < 0.90) return v * Vec3{0.36F, 0.022F, 0.018F};   // red
  if (d < 0.93) return v * Vec3{0.03F, 0.12F, 0.05F};     // green
  if (d < 0.96) return v * Vec3{0.30F, 0.22F, 0.13F};     // beige
  if (d < 0.98) return v * Vec3{0.55F, 0.33F, 0.02F};     // yellow
  return v * Vec3{0.16F, 0.08F, 0.05F};                   // brown
}

Vec3 cloth(Rng& rng) {
  const double hue = rng.uniform();
  const auto v = static_cast<float>(rng.uniform(0.03, 0.35));
  if (hue < 0.4) return v * Vec3{0.5F, 0.5F, 0.55F};
  if (hue < 0.55) return v * Vec3{0.25F, 0.45F, 1.0F};
  if (hue < 0.7) return v * Vec3{1.2F, 0.2F, 0.15F};
  if (hue < 0.8) return v * Vec3{0.3F, 0.8F, 0.3F};
  if (hue < 0.9) return v * Vec3{1.4F, 1.2F, 0.3F};
  return v * Vec3{1.8F, 1.8F, 1.8F};
}

}  // namespace

Palette palette_of(const ObjectState& object) {
  Rng rng(object.look * 2654435761ULL + static_cast<std::uint64_t>(object.kind));
  Palette p{};
  const auto set = [&](Material m, Vec3 c) { p[static_cast<std::size_t>(m)] = c; };
  set(Material::kPaint, car_colour(rng));
  set(Material::kSecond, car_colour(rng));
  set(Material::kThird, cloth(rng));
  set(Material::kSkin, static_cast<float>(rng.uniform(0.35, 1.0)) * Vec3{0.55F, 0.34F, 0.24F});
  set(Material::kGlass, {0.02F, 0.023F, 0.025F});
  set(Material::kTyre, {0.022F, 0.022F, 0.022F});
  set(Material::kRim, rng.chance(0.7) ? Vec3{0.30F, 0.30F, 0.31F} : Vec3{0.05F, 0.05F, 0.05F});
  set(Material::kTrim, {0.025F, 0.026F, 0.027F});
  set(Material::kMetal, {0.32F, 0.32F, 0.33F});
  set(Material::kPlate, {0.62F, 0.62F, 0.58F});
  set(Material::kHeadlight, {0.60F, 0.62F, 0.65F});
  set(Material::kTaillight, {0.30F, 0.012F, 0.010F});
  set(Material::kLeftIndicator, {0.45F, 0.18F, 0.02F});
  set(Material::kRightIndicator, {0.45F, 0.18F, 0.02F});
  set(Material::kSign, {0.03F, 0.03F, 0.02F});
  switch (object.kind) {
    case BodyKind::kVan:
      if (rng.chance(0.6)) set(Material::kPaint, {0.62F, 0.62F, 0.60F});
      break;
    case BodyKind::kBoxTruck:
    case BodyKind::kLongTruck:
      // Mostly white or grey boxes with a coloured band like the cab.
      if (rng.chance(0.7))
        set(Material::kSecond, static_cast<float>(rng.uniform(0.7, 1.0)) * Vec3{0.62F, 0.62F, 0.60F});
      break;
    case BodyKind::kFlatTruck:
      set(Material::kSecond, static_cast<float>(rng.uniform(0.3, 1.0)) * Vec3{0.35F, 0.28F, 0.18F});
      set(Material::kThird, static_cast<float>(rng.uniform(0.5, 1.2)) * Vec3{0.28F, 0.22F, 0.15F});
      break;
    case BodyKind::kCityBus:
    case BodyKind::kCoach: {
      constexpr Vec3 kFleet[] = {{0.45F, 0.03F, 0.025F}, {0.55F, 0.36F, 0.03F}, {0.05F, 0.20F, 0.10F},
                                 {0.06F, 0.12F, 0.38F},  {0.60F, 0.60F, 0.58F}, {0.55F, 0.55F, 0.53F},
                                 {0.40F, 0.42F, 0.44F},  {0.10F, 0.28F, 0.36F}};
      set(Material::kPaint, kFleet[rng.below(8)]);
      set(Material::kSecond, rng.chance(0.5) ? Vec3{0.60F, 0.60F, 0.58F} : kFleet[rng.below(8)]);
      break;
    }
    case BodyKind::kBicycle:
    case BodyKind::kMotorcycle:
    case BodyKind::kPerson:
      set(Material::kSecond, cloth(rng));
      if (object.kind == BodyKind::kPerson)
        set(Material::kTrim, static_cast<float>(rng.uniform(0.3, 3.0)) * Vec3{0.05F, 0.035F, 0.022F});
      break;
    default:
      break;
  }
  return p;
}

}  // namespace gantry::scene
