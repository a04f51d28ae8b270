#include "scene/still_life.hpp"

#include <algorithm>
#include <array>

namespace gantry::scene {
namespace {

Vec3 lift(Vec2 p, double z) {
  return {static_cast<float>(p.x), static_cast<float>(p.y), static_cast<float>(z)};
}

struct Builder {
  std::vector<StillTriangle>& out;

  void triangle(Vec3 a, Vec3 b, Vec3 c, Vec3 albedo, Vec3 glow = {}, float mirror = 0) {
    out.push_back({{a, b, c}, normalised(cross(b - a, c - a)), albedo, glow, mirror, false});
  }
  /// Cut into pieces of a few metres so that lens distortion and fog bend it.
  void quad(Vec3 a, Vec3 b, Vec3 c, Vec3 d, Vec3 albedo, Vec3 glow = {}, float mirror = 0) {
    const int n = std::clamp(static_cast<int>(norm(b - a) / 6), 1, 12);
    const int m = std::clamp(static_cast<int>(norm(d - a) / 6), 1, 12);
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < m; ++j) {
        const auto at = [&](int u, int v) {
          const float s = static_cast<float>(u) / static_cast<float>(n);
          const float t = static_cast<float>(v) / static_cast<float>(m);
          return mix(mix(a, b, s), mix(d, c, s), t);
        };
        const Vec3 p = at(i, j), q = at(i + 1, j), r = at(i + 1, j + 1), s = at(i, j + 1);
        triangle(p, q, r, albedo, glow, mirror);
        triangle(p, r, s, albedo, glow, mirror);
      }
    }
  }
  void post(Vec2 at, double radius, double z0, double z1, Vec3 albedo, int sides = 8) {
    for (int i = 0; i < sides; ++i) {
      const Vec2 p = at + radius * unit(2 * kPi * i / sides);
      const Vec2 q = at + radius * unit(2 * kPi * (i + 1) / sides);
      quad(lift(p, z0), lift(q, z0), lift(q, z1), lift(p, z1), albedo);
    }
  }
  void block(Vec2 centre, double heading, double length, double width, double z0, double z1, Vec3 albedo) {
    const Vec2 u = unit(heading);
    const Vec2 r = right_of(u);
    const Vec2 c[4] = {centre + (length / 2) * u + (width / 2) * r, centre + (length / 2) * u - (width / 2) * r,
                       centre - (length / 2) * u - (width / 2) * r, centre - (length / 2) * u + (width / 2) * r};
    for (int i = 0; i < 4; ++i) {
      quad(lift(c[i], z0), lift(c[(i + 1) % 4], z0), lift(c[(i + 1) % 4], z1), lift(c[i], z1), albedo);
    }
    quad(lift(c[0], z1), lift(c[1], z1), lift(c[2], z1), lift(c[3], z1), albedo);
  }
};

void add_building(Builder& b, const Building& spec, float night) {
  Rng rng(spec.tint * 7919ULL + 17);
  const Vec2 u = unit(spec.heading);
  const Vec2 r = right_of(u);
  constexpr Vec3 kWalls[] = {{0.42F, 0.36F, 0.29F}, {0.50F, 0.47F, 0.42F}, {0.33F, 0.20F, 0.15F},
                             {0.45F, 0.40F, 0.30F}, {0.38F, 0.38F, 0.39F}, {0.55F, 0.52F, 0.46F},
                             {0.40F, 0.26F, 0.20F}, {0.48F, 0.44F, 0.34F}};
  const Vec3 wall = static_cast<float>(rng.uniform(0.75, 1.05)) * kWalls[rng.below(8)];
  const double h = spec.height;
  const Vec2 corner[4] = {spec.centre + (spec.length / 2) * u + (spec.width / 2) * r,
                          spec.centre + (spec.length / 2) * u - (spec.width / 2) * r,
                          spec.centre - (spec.length / 2) * u - (spec.width / 2) * r,
                          spec.centre - (spec.length / 2) * u + (spec.width / 2) * r};
  const double floor_height = spec.style == 0 ? 2.8 : 3.3;
  const int floors = std::max(1, static_cast<int>(h / floor_height));
  for (int side = 0; side < 4; ++side) {
    const Vec2 a = corner[side];
    const Vec2 c = corner[(side + 1) % 4];
    const double length = norm(c - a);
    const Vec2 along = (1 / length) * (c - a);
    const Vec2 out = right_of(along);
    b.quad(lift(a, 0), lift(c, 0), lift(c, h), lift(a, h), wall);
    const double pitch = spec.style == 2 ? 2.4 : spec.style == 1 ? 3.1 : 3.6;
    const int columns = std::max(1, static_cast<int>((length - 1) / pitch));
    const double margin = (length - columns * pitch) / 2;
    for (int f = 0; f < floors; ++f) {
      const bool shop = spec.style == 1 && f == 0;
      const double z0 = f * floor_height + (spec.style == 2 ? 0.5 : shop ? 0.4 : 0.95);
      const double z1 = f * floor_height + (spec.style == 2 ? 3.0 : 2.45);
      for (int k = 0; k < columns; ++k) {
        const double w = spec.style == 2 ? pitch - 0.15 : shop ? pitch - 0.5 : 1.35;
        const Vec2 middle = a + (margin + (k + 0.5) * pitch) * along + 0.03 * out;
        const Vec2 p = middle - (w / 2) * along;
        const Vec2 q = middle + (w / 2) * along;
        Vec3 glow{};
        if (night > 0 && rng.chance(spec.style == 2 ? 0.25 : 0.35)) {
          glow = (night * static_cast<float>(rng.uniform(0.05, 0.22))) * Vec3{1.0F, 0.78F, 0.48F};
        }
        const float blind = rng.chance(0.25) ? 0.25F : 0.03F;
        b.quad(lift(p, z0), lift(q, z0), lift(q, z1), lift(p, z1), {blind, blind, blind * 1.05F}, glow, 0.28F);
        if (spec.style == 1 && !shop) {
          const Vec2 sill_p = p + 0.06 * out - 0.1 * along;
          const Vec2 sill_q = q + 0.06 * out + 0.1 * along;
          b.quad(lift(sill_p, z0 - 0.15), lift(sill_q, z0 - 0.15), lift(sill_q, z0), lift(sill_p, z0), 0.8F * wall);
        }
      }
    }
  }
  if (spec.style == 0) {
    // A pitched roof with eaves.
    const Vec3 tiles = rng.chance(0.6) ? Vec3{0.26F, 0.10F, 0.06F} : Vec3{0.10F, 0.10F, 0.11F};
    const double over = 0.5;
    const double rise = spec.width * 0.38;
    const Vec2 ridge0 = spec.centre + (spec.length / 2 + over) * u;
    const Vec2 ridge1 = spec.centre - (spec.length / 2 + over) * u;
    const Vec2 side = (spec.width / 2 + over) * r;
    b.quad(lift(ridge1 + side, h - 0.3), lift(ridge0 + side, h - 0.3), lift(ridge0, h + rise), lift(ridge1, h + rise),
           tiles);
    b.quad(lift(ridge0 - side, h - 0.3), lift(ridge1 - side, h - 0.3), lift(ridge1, h + rise), lift(ridge0, h + rise),
           tiles);
    for (const double s : {1.0, -1.0}) {
      const Vec2 g = spec.centre + (s * spec.length / 2) * u;
      b.triangle(lift(g - (s * spec.width / 2) * r, h), lift(g + (s * spec.width / 2) * r, h), lift(g, h + rise), wall);
      b.triangle(lift(g + (s * spec.width / 2) * r, h), lift(g - (s * spec.width / 2) * r, h), lift(g, h + rise), wall);
    }
  } else {
    b.block(spec.centre, spec.heading, spec.length + 0.3, spec.width + 0.3, h, h + 0.5, 0.8F * wall);
    b.block(spec.centre + rng.uniform(-2, 2) * u, spec.heading, spec.length * 0.25, spec.width * 0.3, h + 0.5, h + 2.4,
            {0.35F, 0.35F, 0.36F});
  }
}

void add_tree(std::vector<StillTriangle>& out, Builder& b, const Tree& tree) {
  Rng rng(tree.tint * 104729ULL + 3);
  b.post(tree.at, tree.height * 0.022 + 0.05, 0, tree.height * 0.55, {0.11F, 0.085F, 0.06F}, 6);
  const Vec3 green = mix(Vec3{0.045F, 0.085F, 0.022F}, Vec3{0.10F, 0.115F, 0.030F}, static_cast<float>(rng.uniform()));
  const int leaves = static_cast<int>(std::clamp(tree.radius * tree.radius * 42, 120.0, 700.0));
  const double crown = tree.height - tree.radius * 1.05;
  for (int i = 0; i < leaves; ++i) {
    // A point on (or a little inside) an ellipsoid, or on a cone.
    const double lon = rng.uniform(0, 2 * kPi);
    const double up = rng.uniform(-0.85, 1);
    const double flat = std::sqrt(std::max(0.0, 1 - up * up));
    const double depth = rng.uniform(0.72, 1.06);
    Vec3 n{static_cast<float>(flat * det_cos(lon)), static_cast<float>(flat * det_sin(lon)), static_cast<float>(up)};
    Vec3 at = lift(tree.at, crown) + static_cast<float>(depth) * Vec3{static_cast<float>(tree.radius) * n.x,
                                                                      static_cast<float>(tree.radius) * n.y,
                                                                      static_cast<float>(tree.radius * 1.1) * n.z};
    if (tree.conifer) {
      const double t = rng.uniform();
      const double radius = tree.radius * (1 - t) * depth;
      at = lift(tree.at, 0.8 + t * (tree.height - 0.8)) +
           static_cast<float>(radius) * Vec3{static_cast<float>(det_cos(lon)), static_cast<float>(det_sin(lon)), 0};
      n = normalised({static_cast<float>(det_cos(lon)), static_cast<float>(det_sin(lon)), 0.4F});
    }
    const Vec3 jitter{static_cast<float>(rng.uniform(-0.6, 0.6)), static_cast<float>(rng.uniform(-0.6, 0.6)),
                      static_cast<float>(rng.uniform(-0.6, 0.6))};
    const Vec3 facing = normalised(n + jitter);
    const float size = static_cast<float>(rng.uniform(0.30, 0.62) * (0.7 + 0.15 * tree.radius));
    const Vec3 side = size * normalised(cross(facing, std::fabs(facing.z) < 0.9F ? Vec3{0, 0, 1} : Vec3{1, 0, 0}));
    const Vec3 rise = size * normalised(cross(facing, side));
    const Vec3 albedo = static_cast<float>(rng.uniform(0.7, 1.3) * (0.55 + 0.45 * (up + 1) / 2)) *
                        (tree.conifer ? Vec3{0.035F, 0.065F, 0.030F} : green);
    const Vec3 p[4] = {at - side - 0.4F * rise, at + 0.6F * side - rise, at + side + 0.5F * rise,
                       at - 0.5F * side + rise};
    for (const auto& [i0, i1, i2] : {std::array{0, 1, 2}, std::array{0, 2, 3}}) {
      out.push_back({{p[i0], p[i1], p[i2]}, n, albedo, {}, 0, true});
    }
  }
}

}  // namespace

std::vector<StillTriangle> still_life(const Layout& layout, float night) {
  std::vector<StillTriangle> out;
  Builder b{out};
  for (const Building& building : layout.buildings) add_building(b, building, night);
  for (const Tree& tree : layout.trees) add_tree(out, b, tree);
  constexpr Vec3 kSteel{0.33F, 0.34F, 0.35F};
  for (const Pole& pole : layout.poles) {
    b.post(pole.at, pole.radius, 0, pole.height, kSteel);
    if (pole.arm_length <= 0) continue;
    const Vec2 d = unit(pole.arm_heading);
    const Vec2 end = pole.at + pole.arm_length * d;
    b.block(pole.at + (pole.arm_length / 2) * d, pole.arm_heading, pole.arm_length, pole.radius * 1.3,
            pole.height - 0.12, pole.height, kSteel);
    if (pole.lamp) {
      b.block(end, pole.arm_heading, 0.75, 0.28, pole.height - 0.08, pole.height + 0.06, {0.25F, 0.25F, 0.26F});
      const Vec2 u = 0.3 * d;
      const Vec2 r = 0.12 * right_of(d);
      const Vec3 glow = (night * 3.0F) * Vec3{1.0F, 0.80F, 0.52F};
      b.quad(lift(end - u - r, pole.height - 0.09), lift(end - u + r, pole.height - 0.09),
             lift(end + u + r, pole.height - 0.09), lift(end + u - r, pole.height - 0.09), {0.7F, 0.7F, 0.7F}, glow);
    }
  }
  for (const SignalHead& head : layout.heads) {
    // Housing with a backboard; the lenses are drawn with what moves.
    const Vec2 d = unit(head.facing);
    b.block(head.at, head.facing, 0.22, 0.34, head.height - 0.52, head.height + 0.52, {0.03F, 0.035F, 0.03F});
    const Vec2 back = head.at - 0.05 * d;
    b.block(back, head.facing, 0.03, 0.62, head.height - 0.68, head.height + 0.68, {0.025F, 0.025F, 0.028F});
  }
  for (const Barrier& barrier : layout.barriers) {
    for (std::size_t i = 0; i + 1 < barrier.points.size(); ++i) {
      const Vec2 a = barrier.points[i];
      const Vec2 c = barrier.points[i + 1];
      const Vec2 d = c - a;
      b.block(0.5 * (a + c), det_atan2(d.y, d.x), norm(d), 0.08, barrier.height - 0.32, barrier.height,
              {0.42F, 0.43F, 0.44F});
      b.block(a, det_atan2(d.y, d.x), 0.10, 0.10, 0, barrier.height - 0.05, {0.30F, 0.30F, 0.31F});
    }
  }
  return out;
}

}  // namespace gantry::scene
