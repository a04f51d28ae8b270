// People on foot, on bicycles and on motorcycles.
#include "scene/body_meshes.hpp"

namespace gantry::scene {
namespace {

Vec3 forward(float x, float z, double angle, float length) {
  // A limb that hangs from (x, z) and swings ahead by `angle`.
  return {x + length * static_cast<float>(det_sin(angle)), 0, z - length * static_cast<float>(det_cos(angle))};
}

void limb(Mesh& mesh, Vec3 from, Vec3 to, float thick, Material material) {
  mesh.tube(from, to, thick, material);
}

}  // namespace

Mesh person_mesh(double phase, bool far) {
  Mesh mesh;
  const int segments = far ? 5 : 8;
  const double swing = 0.45 * det_sin(2 * kPi * phase);
  const float hip = 0.88F;
  for (const float s : {1.0F, -1.0F}) {
    const double angle = s * swing;
    Vec3 knee = forward(0, hip, angle, 0.44F);
    // The leg that goes ahead bends.
    Vec3 foot = forward(knee.x, knee.z, angle - (angle > 0 ? 0.15 : 0.5 * -angle + 0.1), 0.42F);
    const Vec3 side{0, s * 0.10F, 0};
    limb(mesh, Vec3{0, 0, hip} + side, knee + side, 0.17F, Material::kThird);
    limb(mesh, knee + side, foot + side, 0.13F, Material::kThird);
    mesh.box({foot.x - 0.08F, s * 0.10F - 0.05F, std::max(0.0F, foot.z - 0.06F)},
             {foot.x + 0.18F, s * 0.10F + 0.05F, std::max(0.06F, foot.z + 0.04F)}, Material::kTrim);
    const Vec3 shoulder{0, s * 0.22F, 1.42F};
    Vec3 elbow = forward(0, 1.42F, -angle * 0.8, 0.30F);
    elbow.y = s * 0.25F;
    Vec3 hand = forward(elbow.x, elbow.z, -angle * 0.8 + 0.25, 0.28F);
    hand.y = s * 0.24F;
    limb(mesh, shoulder, elbow, 0.115F, Material::kSecond);
    limb(mesh, elbow, hand, 0.09F, Material::kSkin);
  }
  mesh.frustum({-0.12F, -0.17F, 0.84F}, {0.13F, 0.17F, 1.10F}, {-0.11F, -0.19F, 0}, {0.12F, 0.19F, 0},
               Material::kThird);
  mesh.frustum({-0.11F, -0.18F, 1.02F}, {0.12F, 0.18F, 1.40F}, {-0.13F, -0.23F, 0}, {0.12F, 0.23F, 0},
               Material::kSecond);
  mesh.frustum({-0.13F, -0.23F, 1.40F}, {0.12F, 0.23F, 1.50F}, {-0.07F, -0.09F, 0}, {0.07F, 0.09F, 0},
               Material::kSecond);
  mesh.ellipsoid({0.01F, 0, 1.62F}, {0.10F, 0.085F, 0.13F}, segments / 2 + 1, segments, Material::kSkin);
  mesh.ellipsoid({-0.015F, 0, 1.665F}, {0.105F, 0.092F, 0.105F}, segments / 2 + 1, segments, Material::kTrim);  // hair
  for (const float s : {1.0F, -1.0F}) {
    mesh.hull.push_back({0.18F, s * 0.15F, 0});
    mesh.hull.push_back({-0.15F, s * 0.15F, 0});
    mesh.hull.push_back({0, s * 0.26F, 1.4F});
    mesh.hull.push_back({0, s * 0.08F, 1.74F});
  }
  return mesh;
}

Mesh cycle_mesh(BodyKind kind, double phase, bool far) {
  Mesh mesh;
  const bool motor = kind == BodyKind::kMotorcycle;
  const BodySize& size = body_size(kind);
  const auto front = static_cast<float>(size.length / 2 - size.front_overhang);
  const float rear = front - static_cast<float>(size.wheelbase);
  const int segments = far ? 8 : 14;
  const float radius = motor ? 0.31F : 0.34F;
  for (const float x : {front, rear}) {
    if (motor) {
      mesh.wheel({x, 0, radius}, radius, 0.15F, segments);
      continue;
    }
    // A rim and tyre with nothing inside: a ring seen from both sides.
    for (int i = 0; i < segments; ++i) {
      const auto at = [&](int k, float r, float y) {
        const double a = 2 * kPi * k / segments;
        return Vec3{x + r * static_cast<float>(det_cos(a)), y, radius + r * static_cast<float>(det_sin(a))};
      };
      mesh.quad(at(i, radius, 0.02F), at(i, radius - 0.05F, 0.02F), at(i + 1, radius - 0.05F, 0.02F),
                at(i + 1, radius, 0.02F), Material::kTyre);
      mesh.quad(at(i, radius, -0.02F), at(i + 1, radius, -0.02F), at(i + 1, radius - 0.05F, -0.02F),
                at(i, radius - 0.05F, -0.02F), Material::kTyre);
      mesh.quad(at(i, radius, -0.02F), at(i, radius, 0.02F), at(i + 1, radius, 0.02F), at(i + 1, radius, -0.02F),
                Material::kTyre);
    }
  }
  float seat_x = 0;
  float seat_z = 0;
  float grip_x = 0;
  float grip_z = 0;
  if (motor) {
    seat_x = -0.22F;
    seat_z = 0.80F;
    grip_x = front - 0.28F;
    grip_z = 1.02F;
    mesh.frustum({-0.35F, -0.16F, 0.28F}, {0.35F, 0.16F, 0.62F}, {-0.40F, -0.15F, 0}, {0.42F, 0.15F, 0},
                 Material::kTrim);  // engine
    mesh.frustum({-0.05F, -0.16F, 0.60F}, {0.48F, 0.16F, 0.90F}, {0.02F, -0.13F, 0}, {0.36F, 0.13F, 0},
                 Material::kPaint);  // tank
    mesh.frustum({-0.85F, -0.13F, 0.66F}, {0.0F, 0.13F, 0.82F}, {-0.92F, -0.11F, 0}, {-0.02F, 0.12F, 0},
                 Material::kTrim);  // seat
    mesh.frustum({-0.98F, -0.10F, 0.58F}, {-0.55F, 0.10F, 0.76F}, {-1.02F, -0.08F, 0}, {-0.6F, 0.08F, 0},
                 Material::kPaint);  // tail
    mesh.frustum({front - 0.32F, -0.17F, 0.72F}, {front - 0.02F, 0.17F, 1.05F}, {front - 0.30F, -0.15F, 0},
                 {front - 0.14F, 0.15F, 0},
                 Material::kPaint);                                                             // fairing
    mesh.box({front - 0.25F, -0.10F, 0.60F}, {front + 0.28F, 0.10F, 0.66F}, Material::kPaint);  // mudguard
    mesh.tube({front, 0.09F, radius}, {grip_x, 0.09F, grip_z}, 0.06F, Material::kMetal);
    mesh.tube({front, -0.09F, radius}, {grip_x, -0.09F, grip_z}, 0.06F, Material::kMetal);
    mesh.tube({rear - 0.1F, -0.19F, 0.36F}, {0.1F, -0.17F, 0.34F}, 0.10F, Material::kMetal);  // exhaust
    const float fx = front + 0.01F;
    mesh.quad({fx, -0.09F, 0.80F}, {fx, 0.09F, 0.80F}, {fx - 0.02F, 0.09F, 0.95F}, {fx - 0.02F, -0.09F, 0.95F},
              Material::kHeadlight);
    mesh.quad({-1.03F, 0.08F, 0.62F}, {-1.03F, -0.08F, 0.62F}, {-1.03F, -0.08F, 0.72F}, {-1.03F, 0.08F, 0.72F},
              Material::kTaillight);
    mesh.quad({-1.04F, 0.10F, 0.42F}, {-1.04F, -0.10F, 0.42F}, {-1.04F, -0.10F, 0.56F}, {-1.04F, 0.10F, 0.56F},
              Material::kPlate);
    mesh.headlights.push_back({fx, 0, 0.88F});
    mesh.taillights.push_back({-1.03F, 0, 0.68F});
  } else {
    seat_x = -0.18F;
    seat_z = 0.95F;
    grip_x = front - 0.12F;
    grip_z = 1.05F;
    const Vec3 crank{-0.02F, 0, 0.28F}, head{front - 0.16F, 0, 0.86F}, saddle{seat_x, 0, 0.90F};
    for (const auto& [a, b] : {std::pair{crank, head},
                               {crank, saddle},
                               {saddle, head},
                               {saddle, Vec3{rear, 0, radius}},
                               {crank, Vec3{rear, 0, radius}},
                               {head, Vec3{front, 0, radius}},
                               {head, Vec3{grip_x, 0, grip_z}}}) {
      mesh.tube(a, b, 0.045F, Material::kPaint);
    }
    mesh.box({seat_x - 0.14F, -0.07F, 0.90F}, {seat_x + 0.12F, 0.07F, 0.96F}, Material::kTrim);
    mesh.headlights.push_back({front, 0, 0.8F});
    mesh.taillights.push_back({rear - 0.2F, 0, 0.7F});
  }
  mesh.tube({grip_x, -0.30F, grip_z}, {grip_x, 0.30F, grip_z}, 0.045F, Material::kTrim);
  // The rider leans towards the handlebars.
  const float hip_z = seat_z + 0.08F;
  const Vec3 hip{seat_x, 0, hip_z};
  const Vec3 neck{seat_x + (motor ? 0.22F : 0.20F), 0, hip_z + 0.50F};
  {
    const Vec3 low = hip - Vec3{0.10F, 0, 0.06F};
    mesh.quad(low + Vec3{0.24F, -0.16F, 0}, low + Vec3{0.24F, 0.16F, 0}, neck + Vec3{0.11F, 0.21F, 0},
              neck + Vec3{0.11F, -0.21F, 0}, Material::kSecond);
    mesh.quad(low + Vec3{0, 0.16F, 0}, low + Vec3{0, -0.16F, 0}, neck + Vec3{-0.12F, -0.21F, 0},
              neck + Vec3{-0.12F, 0.21F, 0}, Material::kSecond);
    mesh.quad(low + Vec3{0.24F, 0.16F, 0}, low + Vec3{0, 0.16F, 0}, neck + Vec3{-0.12F, 0.21F, 0},
              neck + Vec3{0.11F, 0.21F, 0}, Material::kSecond);
    mesh.quad(low + Vec3{0, -0.16F, 0}, low + Vec3{0.24F, -0.16F, 0}, neck + Vec3{0.11F, -0.21F, 0},
              neck + Vec3{-0.12F, -0.21F, 0}, Material::kSecond);
    mesh.frustum({neck.x - 0.12F, -0.21F, neck.z}, {neck.x + 0.11F, 0.21F, neck.z + 0.08F}, {neck.x - 0.06F, -0.08F, 0},
                 {neck.x + 0.07F, 0.08F, 0}, Material::kSecond);
  }
  const Vec3 head = neck + Vec3{0.06F, 0, 0.20F};
  if (motor) {
    mesh.ellipsoid(head, {0.145F, 0.13F, 0.155F}, 5, segments / 2 + 2, Material::kThird);
    mesh.quad(head + Vec3{0.146F, -0.09F, -0.03F}, head + Vec3{0.146F, 0.09F, -0.03F}, head + Vec3{0.12F, 0.09F, 0.07F},
              head + Vec3{0.12F, -0.09F, 0.07F}, Material::kGlass);
  } else {
    mesh.ellipsoid(head, {0.10F, 0.085F, 0.12F}, 5, segments / 2 + 2, Material::kSkin);
    mesh.ellipsoid(head + Vec3{-0.01F, 0, 0.05F}, {0.125F, 0.10F, 0.095F}, 5, segments / 2 + 2, Material::kThird);
  }
  for (const float s : {1.0F, -1.0F}) {
    const Vec3 shoulder = neck + Vec3{0, s * 0.20F, 0};
    const Vec3 elbow{(shoulder.x + grip_x) / 2 - 0.05F, s * 0.32F, (shoulder.z + grip_z) / 2 - 0.08F};
    mesh.tube(shoulder, elbow, 0.12F, Material::kSecond);
    mesh.tube(elbow, {grip_x, s * 0.27F, grip_z}, 0.09F, motor ? Material::kSecond : Material::kSkin);
    Vec3 foot{0.10F, s * 0.16F, 0.34F};
    Vec3 knee{0.28F, s * 0.20F, 0.72F};
    if (!motor) {
      const double a = 2 * kPi * (phase + (s > 0 ? 0.0 : 0.5));
      foot = {-0.02F + 0.17F * static_cast<float>(det_cos(a)), s * 0.12F,
              0.28F + 0.17F * static_cast<float>(det_sin(a))};
      knee = {foot.x * 0.5F + 0.22F, s * 0.12F, 0.55F + foot.z * 0.35F};
    }
    mesh.tube(hip + Vec3{0, s * 0.10F, 0}, knee, 0.16F, Material::kThird);
    mesh.tube(knee, foot, 0.12F, Material::kThird);
    mesh.box(foot + Vec3{-0.08F, -0.05F, -0.06F}, foot + Vec3{0.17F, 0.05F, 0.02F}, Material::kTrim);
  }
  for (const float s : {1.0F, -1.0F}) {
    mesh.hull.push_back({front + radius, s * 0.05F, 0.1F});
    mesh.hull.push_back({rear - radius, s * 0.05F, 0.1F});
    mesh.hull.push_back({grip_x, s * 0.3F, grip_z});
    mesh.hull.push_back(neck + Vec3{0, s * 0.22F, 0});
    mesh.hull.push_back(head + Vec3{0, s * 0.08F, 0.14F});
  }
  return mesh;
}

const Mesh& body_mesh(BodyKind kind, float stride, bool far) {
  constexpr int kPhases = 8;
  struct Library {
    std::vector<Mesh> meshes;
    Library() {
      for (int k = 0; k < kBodyKindCount; ++k) {
        for (int p = 0; p < kPhases; ++p) {
          for (const bool coarse : {false, true}) {
            meshes.push_back(make(static_cast<BodyKind>(k), p, coarse));
            meshes.back().weld();
          }
        }
      }
    }
    static Mesh make(BodyKind k, int p, bool coarse) {
      const double phase = static_cast<double>(p) / kPhases;
      switch (k) {
        case BodyKind::kPerson:
          return person_mesh(phase, coarse);
        case BodyKind::kBicycle:
          return cycle_mesh(k, phase, coarse);
        case BodyKind::kMotorcycle:
          return p == 0 ? cycle_mesh(k, 0, coarse) : Mesh{};
        case BodyKind::kBoxTruck:
        case BodyKind::kFlatTruck:
        case BodyKind::kLongTruck:
          return p == 0 ? truck_mesh(k, coarse) : Mesh{};
        case BodyKind::kCityBus:
        case BodyKind::kCoach:
          return p == 0 ? bus_mesh(k, coarse) : Mesh{};
        default:
          return p == 0 ? car_mesh(k, coarse) : Mesh{};
      }
    }
  };
  static const Library library;
  int phase = 0;
  if (kind == BodyKind::kPerson || kind == BodyKind::kBicycle) {
    const float cycle = kind == BodyKind::kPerson ? stride / 1.45F : stride / 4.2F;
    phase = static_cast<int>((cycle - std::floor(cycle)) * kPhases) % kPhases;
  }
  return library.meshes[static_cast<std::size_t>((static_cast<int>(kind) * kPhases + phase) * 2 + (far ? 1 : 0))];
}

}  // namespace gantry::scene
