// Trucks and buses.
#include "scene/body_meshes.hpp"

namespace gantry::scene {
namespace {

void axle(Mesh& mesh, float x, float half_width, float radius, bool twin, bool far) {
  for (const float s : {1.0F, -1.0F}) {
    const float width = twin ? 0.5F : 0.30F;
    const Vec3 centre{x, s * (half_width - width / 2 - 0.02F), radius};
    if (far) {
      mesh.wheel_face(centre, radius, width, 8);
    } else {
      mesh.wheel(centre, radius, width, 12);
    }
  }
}

/// A quad on the side of a box at y = ±half_width; x1 > x0.
void on_side(Mesh& mesh, float side, float y, float x0, float x1, float z0, float z1, Material material) {
  if (side > 0) {
    mesh.quad({x1, y, z0}, {x0, y, z0}, {x0, y, z1}, {x1, y, z1}, material);
  } else {
    mesh.quad({x0, -y, z0}, {x1, -y, z0}, {x1, -y, z1}, {x0, -y, z1}, material);
  }
}

void on_front(Mesh& mesh, float x, float y0, float y1, float z0, float z1, Material material) {
  mesh.quad({x, y0, z0}, {x, y1, z0}, {x, y1, z1}, {x, y0, z1}, material);
}

void on_rear(Mesh& mesh, float x, float y0, float y1, float z0, float z1, Material material) {
  mesh.quad({x, y1, z0}, {x, y0, z0}, {x, y0, z1}, {x, y1, z1}, material);
}

void hull_box(Mesh& mesh, float x0, float x1, float half_width, float height) {
  for (const float x : {x0, x1}) {
    for (const float y : {half_width, -half_width}) {
      mesh.hull.push_back({x, y, 0.35F});
      mesh.hull.push_back({x, y, height});
    }
  }
}

/// A lorry's cab from x0 (rear wall) to x1 (front).
void cab(Mesh& mesh, float x0, float x1, float w, float top, bool far) {
  const float belt = 1.55F + (top - 2.4F) * 0.4F;
  const float e = 0.015F;
  mesh.box({x0, -w, 0.45F}, {x1, w, belt}, Material::kPaint);
  // Above the belt the front leans back a little.
  mesh.frustum({x0, -w, belt}, {x1, w, top - 0.12F}, {x0, -w * 0.97F, 0}, {x1 - 0.30F, w * 0.97F, 0}, Material::kPaint);
  mesh.frustum({x0, -w * 0.97F, top - 0.12F}, {x1 - 0.30F, w * 0.97F, top}, {x0, -w * 0.85F, 0},
               {x1 - 0.55F, w * 0.85F, 0}, Material::kPaint);
  const float z0 = belt + 0.04F;
  const float z1 = top - 0.26F;
  const float slope = 0.30F / (top - 0.12F - belt);
  mesh.quad({x1 - slope * (z0 - belt) + e, -w * 0.90F, z0}, {x1 - slope * (z0 - belt) + e, w * 0.90F, z0},
            {x1 - slope * (z1 - belt) + e, w * 0.87F, z1}, {x1 - slope * (z1 - belt) + e, -w * 0.87F, z1},
            Material::kGlass);
  for (const float s : {1.0F, -1.0F}) {
    const float x_end = x1 - 0.42F;
    const float x_begin = std::max(x0 + 0.25F, x1 - 1.5F);
    on_side(mesh, s, w * 0.995F + e, x_begin, x_end, belt + 0.02F, z1, Material::kGlass);
    on_side(mesh, s, w + e, x1 - 1.55F, x1 - 1.50F, 0.7F, belt, Material::kTrim);
    const float y0 = s > 0 ? w * 0.55F : -w * 0.92F;
    on_front(mesh, x1 + e, y0, y0 + w * 0.37F, 0.62F, 0.82F, Material::kHeadlight);
    mesh.headlights.push_back({x1, s * w * 0.74F, 0.72F});
    on_front(mesh, x1 + e, s > 0 ? w * 0.93F : -w, s > 0 ? w : -w * 0.93F, 0.62F, 0.82F,
             s > 0 ? Material::kLeftIndicator : Material::kRightIndicator);
    if (!far) {
      mesh.box({x1 - 0.35F, s > 0 ? w + 0.05F : -w - 0.28F, belt + 0.15F},
               {x1 - 0.22F, s > 0 ? w + 0.28F : -w - 0.05F, belt + 0.75F}, Material::kTrim);
    }
  }
  on_front(mesh, x1 + e, -w * 0.62F, w * 0.62F, 0.95F, belt - 0.18F, Material::kTrim);
  on_front(mesh, x1 + e, -w * 0.95F, w * 0.95F, 0.40F, 0.58F, Material::kTrim);
  on_front(mesh, x1 + 2 * e, -0.26F, 0.26F, 0.44F, 0.55F, Material::kPlate);
}

void rear_lights(Mesh& mesh, float x, float w, float z) {
  const float e = 0.02F;
  for (const float s : {1.0F, -1.0F}) {
    const float y0 = s > 0 ? w * 0.62F : -w * 0.95F;
    on_rear(mesh, x - e, y0, y0 + w * 0.22F, z, z + 0.16F, Material::kTaillight);
    const float y2 = s > 0 ? w * 0.85F : -w * 0.95F;
    on_rear(mesh, x - 2 * e, y2, y2 + w * 0.10F, z, z + 0.16F,
            s > 0 ? Material::kLeftIndicator : Material::kRightIndicator);
    mesh.taillights.push_back({x, s * w * 0.8F, z + 0.08F});
  }
  on_rear(mesh, x - e, -0.26F, 0.26F, z + 0.02F, z + 0.14F, Material::kPlate);
}

}  // namespace

Mesh truck_mesh(BodyKind kind, bool far) {
  const BodySize& size = body_size(kind);
  const auto l = static_cast<float>(size.length / 2);
  const auto w = static_cast<float>(size.width / 2);
  const auto h = static_cast<float>(size.height);
  const auto front_axle = static_cast<float>(size.length / 2 - size.front_overhang);
  const float rear_axle = front_axle - static_cast<float>(size.wheelbase);
  Mesh mesh;
  const bool is_long = kind == BodyKind::kLongTruck;
  const float cab_length = is_long ? 2.3F : 1.9F;
  const float cab_top = is_long ? 3.55F : 2.65F;
  const float gap = is_long ? 0.75F : 0.12F;
  const float deck = 1.05F;
  cab(mesh, l - cab_length, l, w * 0.98F, cab_top, far);
  // Chassis.
  mesh.box({-l + 0.1F, -w * 0.42F, 0.55F}, {l - cab_length + 0.2F, w * 0.42F, deck}, Material::kTrim);
  const float x1 = l - cab_length - gap;
  if (kind == BodyKind::kFlatTruck) {
    // Low boards around a load.
    mesh.box({-l, -w, deck - 0.1F}, {x1, w, deck + 0.05F}, Material::kTrim);
    mesh.box({-l, -w, deck + 0.05F}, {x1, -w + 0.06F, deck + 0.6F}, Material::kSecond);
    mesh.box({-l, w - 0.06F, deck + 0.05F}, {x1, w, deck + 0.6F}, Material::kSecond);
    mesh.box({-l, -w, deck + 0.05F}, {-l + 0.06F, w, deck + 0.6F}, Material::kSecond);
    mesh.box({x1 - 0.08F, -w, deck + 0.05F}, {x1, w, deck + 1.3F}, Material::kSecond);
    mesh.frustum({-l + 0.4F, -w + 0.15F, deck + 0.05F}, {x1 - 0.3F, w - 0.15F, h - 0.6F}, {-l + 1.0F, -w + 0.6F, 0},
                 {x1 - 0.9F, w - 0.6F, 0}, Material::kThird);
    hull_box(mesh, -l, x1, w, deck + 1.0F);
  } else {
    mesh.box({-l, -w, deck}, {x1, w, h}, Material::kSecond);
    for (const float s : {1.0F, -1.0F}) {
      // A coloured band or a name along the box, and its frame.
      on_side(mesh, s, w + 0.01F, -l * 0.85F + (x1 + l) * 0.15F, x1 - (x1 + l) * 0.15F, deck + (h - deck) * 0.42F,
              deck + (h - deck) * 0.68F, Material::kPaint);
      on_side(mesh, s, w + 0.012F, -l, x1, deck, deck + 0.10F, Material::kMetal);
      on_side(mesh, s, w + 0.012F, -l, x1, h - 0.08F, h, Material::kMetal);
      // Guards between the axles.
      on_side(mesh, s, w * 0.96F, rear_axle + 0.8F, front_axle - 1.0F, 0.45F, 0.85F, Material::kTrim);
    }
    on_rear(mesh, -l - 0.012F, -0.03F, 0.03F, deck, h, Material::kTrim);
    on_rear(mesh, -l - 0.012F, -w, w, h - 0.1F, h, Material::kMetal);
    on_rear(mesh, -l - 0.012F, -w, w, deck, deck + 0.1F, Material::kMetal);
    hull_box(mesh, -l, x1, w, h);
  }
  on_rear(mesh, -l - 0.005F, -w * 0.95F, w * 0.95F, 0.50F, deck - 0.12F, Material::kTrim);
  rear_lights(mesh, -l - 0.01F, w, 0.78F);
  hull_box(mesh, l - cab_length, l, w * 0.95F, cab_top);
  const float radius = is_long ? 0.50F : 0.46F;
  axle(mesh, front_axle, w, radius, false, far);
  if (is_long) {
    axle(mesh, front_axle - 3.6F, w, radius, true, far);
    for (const float x : {-1.3F, 0.0F, 1.3F}) axle(mesh, rear_axle + x, w, radius, true, far);
  } else {
    axle(mesh, rear_axle, w, radius, true, far);
  }
  return mesh;
}

Mesh bus_mesh(BodyKind kind, bool far) {
  const BodySize& size = body_size(kind);
  const auto l = static_cast<float>(size.length / 2);
  const auto w = static_cast<float>(size.width / 2);
  const auto h = static_cast<float>(size.height);
  const bool coach = kind == BodyKind::kCoach;
  Mesh mesh;
  const float low = 0.32F;
  const float belt = coach ? 1.65F : 1.05F;
  const float head = coach ? h - 0.45F : h - 0.60F;
  const float e = 0.012F;
  // Below the belt, above it leaning in a little, and the rounded roof.
  mesh.box({-l, -w, low}, {l, w, belt}, Material::kPaint);
  mesh.frustum({-l, -w, belt}, {l, w, h - 0.18F}, {-l + 0.04F, -w * 0.98F, 0},
               {l - (coach ? 0.30F : 0.10F), w * 0.98F, 0}, Material::kPaint);
  mesh.frustum({-l + 0.04F, -w * 0.98F, h - 0.18F}, {l - (coach ? 0.30F : 0.10F), w * 0.98F, h},
               {-l + 0.2F, -w * 0.82F, 0}, {l - 0.4F, w * 0.82F, 0}, Material::kSecond);
  if (!coach)
    mesh.box({-l * 0.3F, -w * 0.55F, h}, {l * 0.15F, w * 0.55F, h + 0.18F}, Material::kSecond);  // air conditioning
  for (const float s : {1.0F, -1.0F}) {
    const int panes = far ? 1 : 7;
    const float from = -l + 0.35F;
    const float to = l - 0.55F;
    for (int i = 0; i < panes; ++i) {
      const float a = from + (to - from) * static_cast<float>(i) / static_cast<float>(panes);
      const float b = from + (to - from) * static_cast<float>(i + 1) / static_cast<float>(panes) - (far ? 0 : 0.09F);
      on_side(mesh, s, w + e, a, b, belt + 0.06F, head, Material::kGlass);
    }
    on_side(mesh, s, w + e, -l, l, low, low + 0.12F, Material::kTrim);
    on_side(mesh, s, w + e, -l, l, belt - 0.32F, belt - 0.12F, Material::kSecond);
    if (s < 0) {
      // Doors on the kerb side.
      for (const float x : {l - 1.6F, -0.4F}) {
        if (coach && x < 0) continue;  // coaches have one
        on_side(mesh, s, w + 2 * e, x, x + 1.15F, low + 0.08F, head, Material::kGlass);
        on_side(mesh, s, w + 3 * e, x + 0.55F, x + 0.60F, low + 0.08F, head, Material::kTrim);
      }
    }
    on_front(mesh, l + e, s > 0 ? w * 0.60F : -w * 0.94F, s > 0 ? w * 0.94F : -w * 0.60F, 0.55F, 0.74F,
             Material::kHeadlight);
    mesh.headlights.push_back({l, s * w * 0.78F, 0.65F});
    on_front(mesh, l + e, s > 0 ? w * 0.80F : -w * 0.94F, s > 0 ? w * 0.94F : -w * 0.80F, 0.76F, 0.84F,
             s > 0 ? Material::kLeftIndicator : Material::kRightIndicator);
    if (!far) {
      mesh.box({l - 0.1F, s > 0 ? w + 0.03F : -w - 0.22F, head - 0.7F},
               {l + 0.15F, s > 0 ? w + 0.22F : -w - 0.03F, head - 0.1F}, Material::kTrim);
    }
  }
  const float lean = coach ? 0.30F : 0.10F;
  const float slope = lean / (h - 0.18F - belt);
  const float z0 = belt + 0.02F;
  mesh.quad({l + e - slope * (z0 - belt), -w * 0.93F, z0}, {l + e - slope * (z0 - belt), w * 0.93F, z0},
            {l + e - slope * (head - belt), w * 0.92F, head}, {l + e - slope * (head - belt), -w * 0.92F, head},
            Material::kGlass);
  mesh.quad({l + e - slope * (head + 0.05F - belt), -w * 0.62F, head + 0.05F},
            {l + e - slope * (head + 0.05F - belt), w * 0.62F, head + 0.05F},
            {l + e - slope * (h - 0.22F - belt), w * 0.62F, h - 0.22F},
            {l + e - slope * (h - 0.22F - belt), -w * 0.62F, h - 0.22F}, coach ? Material::kGlass : Material::kSign);
  on_front(mesh, l + e, -w * 0.5F, w * 0.5F, 0.60F, 0.80F, Material::kTrim);
  on_front(mesh, l + 2 * e, -0.26F, 0.26F, 0.42F, 0.53F, Material::kPlate);
  // Rear: window high up, engine grille, lamps.
  on_rear(mesh, -l - e, -w * 0.80F, w * 0.80F, belt + 0.35F, head - 0.05F, Material::kGlass);
  on_rear(mesh, -l - e, -w * 0.70F, w * 0.70F, 0.75F, belt - 0.05F, Material::kTrim);
  rear_lights(mesh, -l - 0.01F, w, belt - (coach ? 0.5F : 0.05F));
  hull_box(mesh, -l, l, w, h);
  const auto front_axle = static_cast<float>(size.length / 2 - size.front_overhang);
  for (const float x : {front_axle, front_axle - static_cast<float>(size.wheelbase)}) {
    for (const float s : {1.0F, -1.0F}) {
      on_side(mesh, s, w + 2 * e, x - 0.60F, x + 0.60F, low, 1.02F, Material::kTrim);
    }
    axle(mesh, x, w + 0.05F, 0.48F, false, far);
  }
  return mesh;
}

}  // namespace gantry::scene
