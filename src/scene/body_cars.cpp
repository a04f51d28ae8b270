// Cars and vans: bodies lofted along stations from the front bumper to the rear one.
#include <array>
#include <span>

#include "scene/body_meshes.hpp"

namespace gantry::scene {
namespace {

/// What the side of the greenhouse and the surface on top are between a station and the next.
enum Part : std::uint8_t { kBody = 0, kSideGlass = 1, kTopGlass = 2, kBothGlass = 3 };

/// A cross-section: `x` as a share of half the length, heights in metres, half widths as shares of half the width.
struct Station {
  float x, belt, top, wide, roof;
  Part part;
};

constexpr std::array<Station, 13> kSedan{{
    {1.00F, 0.56F, 0.58F, 0.70F, 0.60F, kBody},
    {0.965F, 0.68F, 0.70F, 0.86F, 0.70F, kBody},
    {0.82F, 0.75F, 0.79F, 0.97F, 0.80F, kBody},
    {0.43F, 0.90F, 0.96F, 1.00F, 0.80F, kTopGlass},
    {0.30F, 0.92F, 1.13F, 1.00F, 0.75F, kBothGlass},
    {0.10F, 0.93F, 1.40F, 1.00F, 0.66F, kSideGlass},
    {-0.15F, 0.94F, 1.45F, 1.00F, 0.64F, kBody},
    {-0.19F, 0.94F, 1.45F, 1.00F, 0.64F, kSideGlass},
    {-0.47F, 0.95F, 1.40F, 1.00F, 0.63F, kTopGlass},
    {-0.74F, 0.97F, 1.05F, 0.99F, 0.72F, kBody},
    {-0.93F, 0.95F, 1.00F, 0.95F, 0.76F, kBody},
    {-0.985F, 0.84F, 0.87F, 0.88F, 0.74F, kBody},
    {-1.00F, 0.55F, 0.58F, 0.82F, 0.70F, kBody},
}};
constexpr std::array<Station, 12> kHatchback{{
    {1.00F, 0.58F, 0.60F, 0.72F, 0.60F, kBody},
    {0.96F, 0.72F, 0.74F, 0.88F, 0.72F, kBody},
    {0.80F, 0.80F, 0.84F, 0.98F, 0.80F, kBody},
    {0.45F, 0.93F, 1.00F, 1.00F, 0.80F, kTopGlass},
    {0.30F, 0.95F, 1.20F, 1.00F, 0.75F, kBothGlass},
    {0.10F, 0.96F, 1.43F, 1.00F, 0.68F, kSideGlass},
    {-0.20F, 0.97F, 1.48F, 1.00F, 0.66F, kBody},
    {-0.25F, 0.97F, 1.48F, 1.00F, 0.66F, kSideGlass},
    {-0.62F, 1.00F, 1.45F, 0.99F, 0.65F, kBody},
    {-0.78F, 1.00F, 1.40F, 0.98F, 0.65F, kTopGlass},
    {-0.96F, 0.98F, 1.02F, 0.95F, 0.74F, kBody},
    {-1.00F, 0.55F, 0.58F, 0.86F, 0.72F, kBody},
}};
constexpr std::array<Station, 12> kSuv{{
    {1.00F, 0.66F, 0.68F, 0.76F, 0.64F, kBody},
    {0.965F, 0.86F, 0.88F, 0.90F, 0.74F, kBody},
    {0.82F, 0.94F, 0.98F, 0.98F, 0.82F, kBody},
    {0.44F, 1.04F, 1.10F, 1.00F, 0.82F, kTopGlass},
    {0.31F, 1.06F, 1.32F, 1.00F, 0.77F, kBothGlass},
    {0.14F, 1.07F, 1.63F, 1.00F, 0.72F, kSideGlass},
    {-0.17F, 1.08F, 1.70F, 1.00F, 0.70F, kBody},
    {-0.22F, 1.08F, 1.70F, 1.00F, 0.70F, kSideGlass},
    {-0.66F, 1.10F, 1.67F, 1.00F, 0.70F, kSideGlass},
    {-0.84F, 1.10F, 1.62F, 0.98F, 0.70F, kTopGlass},
    {-0.965F, 1.08F, 1.14F, 0.96F, 0.76F, kBody},
    {-1.00F, 0.60F, 0.63F, 0.90F, 0.76F, kBody},
}};
constexpr std::array<Station, 10> kVan{{
    {1.00F, 0.70F, 0.72F, 0.80F, 0.68F, kBody},
    {0.97F, 0.95F, 0.98F, 0.92F, 0.78F, kBody},
    {0.78F, 1.10F, 1.18F, 0.99F, 0.84F, kTopGlass},
    {0.66F, 1.14F, 1.55F, 1.00F, 0.82F, kBothGlass},
    {0.50F, 1.15F, 1.98F, 1.00F, 0.80F, kSideGlass},
    {0.22F, 1.16F, 2.08F, 1.00F, 0.80F, kBody},
    {-0.30F, 1.16F, 2.10F, 1.00F, 0.80F, kBody},
    {-0.94F, 1.16F, 2.08F, 1.00F, 0.80F, kBody},
    {-0.985F, 1.16F, 2.00F, 0.98F, 0.80F, kBody},
    {-1.00F, 0.60F, 0.66F, 0.95F, 0.80F, kBody},
}};

constexpr int kRing = 7;  // points from the sill up to the roof's middle

/// The right half of a cross-section; the left one is its mirror image.
std::array<Vec3, kRing> ring(const Station& s, float half_length, float half_width, float sill) {
  const float x = s.x * half_length;
  const float w = s.wide * half_width;
  const float r = s.roof * half_width;
  const bool tall = s.top - s.belt > 0.2F;
  const float rise = s.top - s.belt;
  return {{{x, -w * 0.93F, sill},
           {x, -w, sill + 0.28F * (s.belt - sill) + 0.08F},
           {x, -w, s.belt - 0.10F},
           {x, -w * 0.95F, s.belt},
           {x, -(tall ? r * 1.06F : w * 0.88F), s.belt + rise * (tall ? 0.86F : 0.5F)},
           {x, -(tall ? r * 0.86F : w * 0.70F), s.top},
           {x, 0, s.top + 0.03F}}};
}

void loft(Mesh& mesh, std::span<const Station> stations, const BodySize& size, float sill, bool far) {
  const auto half_length = static_cast<float>(size.length / 2);
  const auto half_width = static_cast<float>(size.width / 2);
  const int count = static_cast<int>(stations.size());
  std::vector<std::array<Vec3, kRing>> rings;
  for (const Station& s : stations) rings.push_back(ring(s, half_length, half_width, sill));
  // Normals of the whole skin, smooth along the car, from the neighbours of each point.
  const auto normal = [&](int i, int j) {
    const auto at = [&](int a, int b) {
      const auto si = static_cast<std::size_t>(std::clamp(a, 0, count - 1));
      if (b >= kRing) return Vec3{rings[si][kRing - 2].x, -rings[si][kRing - 2].y, rings[si][kRing - 2].z};
      return rings[si][static_cast<std::size_t>(std::max(b, 0))];
    };
    return normalised(cross(at(i, j + 1) - at(i, j - 1), at(i + 1, j) - at(i - 1, j)));
  };
  // From afar the curve of the door and of the roof are flat.
  const std::array<int, kRing> steps =
      far ? std::array<int, kRing>{0, 2, 3, 4, 6} : std::array<int, kRing>{0, 1, 2, 3, 4, 5, 6};
  const int panels = far ? 4 : 6;
  for (const float side : {1.0F, -1.0F}) {
    for (int i = 0; i + 1 < count; ++i) {
      const Part part = stations[static_cast<std::size_t>(i)].part;
      for (int panel = 0; panel < panels; ++panel) {
        const int j = steps[static_cast<std::size_t>(panel)];
        const int above = steps[static_cast<std::size_t>(panel + 1)];
        Material material = Material::kPaint;
        if (j == 3 && (part & kSideGlass) != 0) material = Material::kGlass;
        if (j >= 4 && (part & kTopGlass) != 0) material = Material::kGlass;
        if (j == 3 && part == kTopGlass) material = Material::kGlass;
        if (j == 0 && !far) material = Material::kTrim;
        const auto first = static_cast<std::uint16_t>(mesh.vertices.size());
        const int is[4] = {i, i + 1, i + 1, i};
        const int js[4] = {j, j, above, above};
        for (int k = 0; k < 4; ++k) {
          Vec3 p = rings[static_cast<std::size_t>(is[k])][static_cast<std::size_t>(js[k])];
          Vec3 n = normal(is[k], js[k]);
          if (n.x * p.x < 0 && (i == 0 || i + 2 == count)) n.x = -n.x;
          p.y *= side;
          n.y *= side;
          mesh.vertices.push_back({p, n, material});
        }
        for (const int k : side > 0 ? std::array<int, 6>{0, 2, 1, 0, 3, 2} : std::array<int, 6>{0, 1, 2, 0, 2, 3}) {
          mesh.triangles.push_back(static_cast<std::uint16_t>(first + k));
        }
      }
    }
  }
  // The faces at both ends.
  for (const int end : {0, count - 1}) {
    const auto& r = rings[static_cast<std::size_t>(end)];
    for (int j = 0; j + 1 < kRing; ++j) {
      const Vec3 a = r[static_cast<std::size_t>(j)];
      const Vec3 b = r[static_cast<std::size_t>(j + 1)];
      const Vec3 c{b.x, -b.y, b.z};
      const Vec3 d{a.x, -a.y, a.z};
      if (end == 0) {
        mesh.quad(a, d, c, b, Material::kPaint);
      } else {
        mesh.quad(d, a, b, c, Material::kPaint);
      }
    }
  }
}

}  // namespace

Mesh car_mesh(BodyKind kind, bool far) {
  const BodySize& size = body_size(kind);
  const auto l = static_cast<float>(size.length / 2);
  const auto w = static_cast<float>(size.width / 2);
  Mesh mesh;
  float nose = 0.56F;
  float tail = 0.84F;
  float radius = 0.32F;
  float sill = 0.22F;
  switch (kind) {
    case BodyKind::kHatchback:
      loft(mesh, kHatchback, size, sill, far);
      nose = 0.60F;
      tail = 0.92F;
      break;
    case BodyKind::kSuv:
      radius = 0.37F;
      sill = 0.28F;
      loft(mesh, kSuv, size, sill, far);
      nose = 0.76F;
      tail = 0.98F;
      break;
    case BodyKind::kVan:
      radius = 0.35F;
      sill = 0.28F;
      loft(mesh, kVan, size, sill, far);
      nose = 0.80F;
      tail = 1.15F;
      break;
    default:
      loft(mesh, kSedan, size, sill, far);
      break;
  }
  const float e = 0.015F;  // how far applied parts stand off the skin
  // Front: grille, lamps, plate; on the slope between the first two stations they stand a little ahead.
  const float f = l + e;
  mesh.quad({f, -w * 0.50F, nose - 0.24F}, {f, w * 0.50F, nose - 0.24F}, {f, w * 0.46F, nose - 0.02F},
            {f, -w * 0.46F, nose - 0.02F}, Material::kTrim);
  for (const float s : {1.0F, -1.0F}) {
    const float y0 = s * w * 0.52F;
    const float y1 = s * w * 0.86F;
    const Vec3 a{f, y0, nose - 0.06F}, b{l * 0.955F + e, y1, nose - 0.02F}, c{l * 0.955F + e, y1, nose + 0.12F},
        d{f - 0.03F, y0, nose + 0.09F};
    if (s > 0) {
      mesh.quad(a, b, c, d, Material::kHeadlight);
    } else {
      mesh.quad(b, a, d, c, Material::kHeadlight);
    }
    mesh.headlights.push_back({l, s * w * 0.70F, nose + 0.03F});
    // Tail lamps wrap the corner.
    const float r = -l - e;
    const float z0 = tail - 0.16F;
    const Vec3 p{r, s * w * 0.88F, z0}, q{r, s * w * 0.56F, z0}, t{r + 0.03F, s * w * 0.56F, tail + 0.04F},
        u{r + 0.03F, s * w * 0.88F, tail + 0.04F};
    if (s > 0) {
      mesh.quad(p, q, t, u, Material::kTaillight);
    } else {
      mesh.quad(q, p, u, t, Material::kTaillight);
    }
    mesh.taillights.push_back({-l, s * w * 0.74F, tail - 0.06F});
    const Material blinker = s > 0 ? Material::kLeftIndicator : Material::kRightIndicator;
    const Vec3 lo_f{f, s * w * 0.80F, nose - 0.14F}, hi_f{f, s * w * 0.60F, nose - 0.08F};
    const Vec3 lo_r{r, s * w * 0.88F, z0 - 0.08F}, hi_r{r, s * w * 0.62F, z0};
    if (s > 0) {
      mesh.quad({f, hi_f.y, lo_f.z}, {f, lo_f.y, lo_f.z}, {f, lo_f.y, hi_f.z}, {f, hi_f.y, hi_f.z}, blinker);
      mesh.quad({r, lo_r.y, lo_r.z}, {r, hi_r.y, lo_r.z}, {r, hi_r.y, hi_r.z}, {r, lo_r.y, hi_r.z}, blinker);
    } else {
      mesh.quad({f, lo_f.y, lo_f.z}, {f, hi_f.y, lo_f.z}, {f, hi_f.y, hi_f.z}, {f, lo_f.y, hi_f.z}, blinker);
      mesh.quad({r, hi_r.y, lo_r.z}, {r, lo_r.y, lo_r.z}, {r, lo_r.y, hi_r.z}, {r, hi_r.y, hi_r.z}, blinker);
    }
  }
  mesh.quad({f + e, -0.26F, nose - 0.20F}, {f + e, 0.26F, nose - 0.20F}, {f + e, 0.26F, nose - 0.09F},
            {f + e, -0.26F, nose - 0.09F}, Material::kPlate);
  const float r = -l - e;
  mesh.quad({r, w * 0.8F, 0.30F}, {r, -w * 0.8F, 0.30F}, {r, -w * 0.8F, 0.46F}, {r, w * 0.8F, 0.46F}, Material::kTrim);
  mesh.quad({r - e, 0.26F, tail - 0.22F}, {r - e, -0.26F, tail - 0.22F}, {r - e, -0.26F, tail - 0.10F},
            {r - e, 0.26F, tail - 0.10F}, Material::kPlate);
  if (kind == BodyKind::kVan) {
    // Windows in the rear doors, a dark line between the doors.
    mesh.quad({r, w * 0.75F, 1.30F}, {r, w * 0.08F, 1.30F}, {r, w * 0.08F, 1.85F}, {r, w * 0.70F, 1.85F},
              Material::kGlass);
    mesh.quad({r, -w * 0.08F, 1.30F}, {r, -w * 0.75F, 1.30F}, {r, -w * 0.70F, 1.85F}, {r, -w * 0.08F, 1.85F},
              Material::kGlass);
  }
  for (const float s : {1.0F, -1.0F}) {
    // Mirrors.
    if (!far) {
      const float x = kind == BodyKind::kVan ? l * 0.62F : l * 0.33F;
      const float z = static_cast<float>(size.height) * 0.66F;
      mesh.box({x - 0.08F, s > 0 ? w * 0.97F : -w * 0.97F - 0.18F, z - 0.06F},
               {x + 0.08F, s > 0 ? w * 0.97F + 0.18F : -w * 0.97F, z + 0.09F}, Material::kPaint);
    }
    for (const double axle :
         {size.length / 2 - size.front_overhang, size.length / 2 - size.front_overhang - size.wheelbase}) {
      const auto x = static_cast<float>(axle);
      // The dark arch above the tyre, then the wheel.
      const int n = far ? 4 : 10;
      for (int i = 0; i < n; ++i) {
        const auto at = [&](int k) {
          const double a = kPi * k / n;
          return Vec3{x + (radius + 0.07F) * static_cast<float>(det_cos(a)), s * (w + 0.004F),
                      radius + (radius + 0.07F) * static_cast<float>(det_sin(a))};
        };
        const Vec3 c{x, s * (w + 0.004F), radius};
        if (s > 0) {
          mesh.triangle(at(i + 1), at(i), c, Material::kTrim);
        } else {
          mesh.triangle(at(i), at(i + 1), c, Material::kTrim);
        }
      }
      if (far) {
        mesh.wheel_face({x, s * (w - 0.10F), radius}, radius, 0.24F, 8);
      } else {
        mesh.wheel({x, s * (w - 0.10F), radius}, radius, 0.24F, 12);
      }
    }
  }
  const auto h = static_cast<float>(size.height);
  for (const float s : {1.0F, -1.0F}) {
    mesh.hull.push_back({l, s * w * 0.85F, 0.1F});
    mesh.hull.push_back({-l, s * w * 0.9F, 0.1F});
    mesh.hull.push_back({l * 0.93F, s * w * 0.85F, nose + 0.1F});
    mesh.hull.push_back({l * 0.12F, s * w * 0.7F, h});
    mesh.hull.push_back({kind == BodyKind::kSedan ? -l * 0.45F : -l * 0.85F, s * w * 0.7F, h});
    mesh.hull.push_back({-l * 0.97F, s * w * 0.85F, tail + 0.1F});
  }
  return mesh;
}

}  // namespace gantry::scene
