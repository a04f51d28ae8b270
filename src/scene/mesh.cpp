#include "scene/mesh.hpp"

#include <map>
#include <tuple>

namespace gantry::scene {

void Mesh::triangle(Vec3 a, Vec3 b, Vec3 c, Material material) {
  const Vec3 n = normalised(cross(b - a, c - a));
  const auto first = static_cast<std::uint16_t>(vertices.size());
  for (const Vec3 p : {a, b, c}) vertices.push_back({p, n, material});
  for (int i = 0; i < 3; ++i) triangles.push_back(static_cast<std::uint16_t>(first + i));
}

void Mesh::quad(Vec3 a, Vec3 b, Vec3 c, Vec3 d, Material material) {
  const Vec3 n = normalised(cross(c - a, d - b));
  const auto first = static_cast<std::uint16_t>(vertices.size());
  for (const Vec3 p : {a, b, c, d}) vertices.push_back({p, n, material});
  for (const int i : {0, 1, 2, 0, 2, 3}) triangles.push_back(static_cast<std::uint16_t>(first + i));
}

void Mesh::frustum(Vec3 low, Vec3 high, Vec3 top_low, Vec3 top_high, Material material) {
  const Vec3 a{low.x, low.y, low.z}, b{high.x, low.y, low.z}, c{high.x, high.y, low.z}, d{low.x, high.y, low.z};
  const Vec3 e{top_low.x, top_low.y, high.z}, f{top_high.x, top_low.y, high.z}, g{top_high.x, top_high.y, high.z},
      h{top_low.x, top_high.y, high.z};
  quad(a, b, f, e, material);
  quad(b, c, g, f, material);
  quad(c, d, h, g, material);
  quad(d, a, e, h, material);
  quad(e, f, g, h, material);
}

void Mesh::box(Vec3 low, Vec3 high, Material material) {
  frustum(low, high, low, high, material);
}

void Mesh::wheel(Vec3 centre, float radius, float width, int segments) {
  const auto point = [&](int i, float r, float y) {
    const double a = 2 * kPi * i / segments;
    return centre + Vec3{r * static_cast<float>(det_cos(a)), y, r * static_cast<float>(det_sin(a))};
  };
  const float half = width / 2;
  for (const float side : {-1.0F, 1.0F}) {
    for (int i = 0; i < segments; ++i) {
      Vec3 a = point(i, radius, side * half), b = point(i + 1, radius, side * half);
      Vec3 c = point(i + 1, radius * 0.62F, side * half), d = point(i, radius * 0.62F, side * half);
      Vec3 hub = centre + Vec3{0, side * half * 0.9F, 0};
      if (side > 0) {
        quad(b, a, d, c, Material::kTyre);
        triangle(c, d, hub, Material::kRim);
      } else {
        quad(a, b, c, d, Material::kTyre);
        triangle(d, c, hub, Material::kRim);
      }
    }
  }
  for (int i = 0; i < segments; ++i) {
    quad(point(i, radius, -half), point(i, radius, half), point(i + 1, radius, half), point(i + 1, radius, -half),
         Material::kTyre);
  }
}

void Mesh::wheel_face(Vec3 centre, float radius, float width, int segments) {
  const float side = centre.y > 0 ? 1.0F : -1.0F;
  const auto point = [&](int i, float r, float out) {
    const double a = side * 2 * kPi * i / segments;
    return centre +
           Vec3{r * static_cast<float>(det_cos(a)), side * (width / 2 + out), r * static_cast<float>(det_sin(a))};
  };
  for (int i = 0; i < segments; ++i) {
    triangle(point(i + 1, radius, 0), point(i, radius, 0), centre + Vec3{0, side * width / 2, 0}, Material::kTyre);
  }
  quad(point(0, radius * 0.55F, 0.01F), point(3 * segments / 4, radius * 0.55F, 0.01F),
       point(segments / 2, radius * 0.55F, 0.01F), point(segments / 4, radius * 0.55F, 0.01F), Material::kRim);
}

void Mesh::weld() {
  std::map<std::tuple<float, float, float, float, float, float, Material>, std::uint16_t> known;
  std::vector<MeshVertex> kept;
  std::vector<std::uint16_t> renamed(vertices.size());
  for (std::size_t i = 0; i < vertices.size(); ++i) {
    const MeshVertex& v = vertices[i];
    const auto [it, fresh] = known.try_emplace({v.at.x, v.at.y, v.at.z, v.normal.x, v.normal.y, v.normal.z, v.material},
                                               static_cast<std::uint16_t>(kept.size()));
    if (fresh) kept.push_back(v);
    renamed[i] = it->second;
  }
  for (std::uint16_t& i : triangles) i = renamed[i];
  vertices = std::move(kept);
}

void Mesh::tube(Vec3 from, Vec3 to, float thickness, Material material) {
  const Vec3 along = normalised(to - from);
  const Vec3 helper = std::fabs(along.z) < 0.9F ? Vec3{0, 0, 1} : Vec3{1, 0, 0};
  const Vec3 u = (thickness / 2) * normalised(cross(along, helper));
  const Vec3 v = (thickness / 2) * normalised(cross(along, u));
  const Vec3 corner[4] = {u + v, v - u, Vec3{} - u - v, u - v};
  for (int i = 0; i < 4; ++i) {
    const Vec3 a = corner[i], b = corner[(i + 1) % 4];
    quad(from + b, from + a, to + a, to + b, material);
  }
}

void Mesh::ellipsoid(Vec3 centre, Vec3 radii, int rings, int segments, Material material) {
  const auto first = static_cast<std::uint16_t>(vertices.size());
  for (int r = 0; r <= rings; ++r) {
    const double lat = kPi * r / rings - kPi / 2;
    for (int s = 0; s < segments; ++s) {
      const double lon = 2 * kPi * s / segments;
      const Vec3 n{static_cast<float>(det_cos(lat) * det_cos(lon)), static_cast<float>(det_cos(lat) * det_sin(lon)),
                   static_cast<float>(det_sin(lat))};
      vertices.push_back({centre + radii * n, normalised({n.x / radii.x, n.y / radii.y, n.z / radii.z}), material});
    }
  }
  for (int r = 0; r < rings; ++r) {
    for (int s = 0; s < segments; ++s) {
      const auto at = [&](int ring, int segment) {
        return static_cast<std::uint16_t>(first + ring * segments + segment % segments);
      };
      for (const std::uint16_t i :
           {at(r, s), at(r, s + 1), at(r + 1, s + 1), at(r, s), at(r + 1, s + 1), at(r + 1, s)}) {
        triangles.push_back(i);
      }
    }
  }
}

}  // namespace gantry::scene
