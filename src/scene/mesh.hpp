#pragma once
// Triangles of bodies in their own coordinates: x ahead, y to the left, z up, origin on the road below the centre.
#include <cstdint>
#include <vector>

#include "scene/body.hpp"
#include "scene/vec3.hpp"

namespace gantry::scene {

/// What a surface is made of; the object's look decides the colour of the first four.
enum class Material : std::uint8_t {
  kPaint,   ///< body colour
  kSecond,  ///< second colour: cargo box, stripe, jacket
  kThird,   ///< trousers, seat
  kSkin,
  kGlass,
  kTyre,
  kRim,
  kTrim,  ///< black plastic, grille, underside
  kMetal,
  kPlate,
  kHeadlight,
  kTaillight,
  kLeftIndicator,
  kRightIndicator,
  kSign,  ///< lit destination board
};
inline constexpr int kMaterialCount = 15;

struct MeshVertex {
  Vec3 at;
  Vec3 normal;
  Material material = Material::kPaint;
};

struct Mesh {
  std::vector<MeshVertex> vertices;
  std::vector<std::uint16_t> triangles;  ///< three indices each, counter-clockwise from outside
  std::vector<Vec3> hull;                ///< a few points whose convex hull holds the body, for shadows
  std::vector<Vec3> headlights, taillights;

  /// Corners in order around the quad, counter-clockwise seen from outside.
  void quad(Vec3 a, Vec3 b, Vec3 c, Vec3 d, Material material);
  void triangle(Vec3 a, Vec3 b, Vec3 c, Material material);
  void box(Vec3 low, Vec3 high, Material material);
  /// A box whose top is another rectangle: a frustum of four sides.
  void frustum(Vec3 low, Vec3 high, Vec3 top_low, Vec3 top_high, Material material);
  /// Makes one of vertices that are the same, so that each is lit once.
  void weld();
  /// Around the y axis: wheels.
  void wheel(Vec3 centre, float radius, float width, int segments);
  /// Only the side that is seen from outside the body.
  void wheel_face(Vec3 centre, float radius, float width, int segments);
  /// Between two points, square cross-section.
  void tube(Vec3 from, Vec3 to, float thickness, Material material);
  void ellipsoid(Vec3 centre, Vec3 radii, int rings, int segments, Material material);
};

/// The mesh of a kind; `stride` (metres walked or rolled) picks the pose of people and riders. Built once, read-only.
/// `far` asks for the coarse version for bodies of a few dozen pixels.
[[nodiscard]] const Mesh& body_mesh(BodyKind kind, float stride, bool far);

}  // namespace gantry::scene
