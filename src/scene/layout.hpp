#pragma once
// What stands and lies in a scene apart from traffic: measures of the road surface, markings, furniture, cameras. The
// road network (network.hpp) and this are made from the same numbers.
#include <string>
#include <vector>

#include "scene/det_math.hpp"

namespace gantry::scene {

enum class Surface : std::uint8_t { kGrass, kAsphalt, kPavement, kMedian, kGravel };

/// A convex polygon of ground, counter-clockwise; later ones lie on earlier ones.
struct GroundPatch {
  Surface surface = Surface::kGrass;
  std::vector<Vec2> points;
};

/// A painted line along a polyline.
struct Marking {
  std::vector<Vec2> points;
  double width = 0.12;  ///< metres
  double dash = 0;      ///< metres on, 0: unbroken
  double gap = 0;       ///< metres off
  bool yellow = false;
  double wear = 0;  ///< above 0: no paint but a dark track of tyres or oil, the share of light it takes
};

/// A painted convex polygon (arrows, crosswalk bars, stop lines).
struct PaintPatch {
  std::vector<Vec2> points;
};

struct SignalHead {
  Vec2 at;
  double height = 5.2;  ///< metres, of its centre
  double facing = 0;    ///< heading towards which the lenses look
  int group = 0;        ///< index into Network::signals
  bool on_arm = false;  ///< hangs from a mast arm; its pole is given apart
};

struct Pole {
  Vec2 at;
  double height = 6;
  double radius = 0.09;
  double arm_heading = 0;  ///< of a horizontal arm at the top
  double arm_length = 0;   ///< 0: none
  bool lamp = false;       ///< a street lamp at the arm's end, lit by night
};

struct Building {
  Vec2 centre;
  double heading = 0, length = 10, width = 10, height = 8;
  int style = 0;  ///< 0 houses with roof, 1 flats, 2 offices of glass
  std::uint32_t tint = 0;
};

struct Tree {
  Vec2 at;
  double height = 7, radius = 2.5;
  bool conifer = false;
  std::uint32_t tint = 0;
};

struct Barrier {
  std::vector<Vec2> points;
  double height = 0.75;
};

/// A camera as it was mounted: true extrinsics.
struct CameraMount {
  std::string name;
  double x = 0, y = 0, z = 7;  ///< metres, z up from the road plane
  double look_x = 0, look_y = 0, look_z = 0;
  double horizontal_fov_deg = 60;
  double k1 = -0.06, k2 = 0.01;  ///< radial distortion, of normalised coordinates
  double roll_deg = 0;
};

struct Layout {
  double extent = 150;  ///< metres of detailed ground around the origin
  std::vector<GroundPatch> ground;
  std::vector<Marking> markings;
  std::vector<PaintPatch> paint;
  std::vector<SignalHead> heads;
  std::vector<Pole> poles;
  std::vector<Building> buildings;
  std::vector<Tree> trees;
  std::vector<Barrier> barriers;
  std::vector<CameraMount> cameras;
  /// Cameras that are drawn at random look from these circles of positions at the origin's neighbourhood.
  std::vector<CameraMount> camera_spots;
};

[[nodiscard]] Layout make_layout(const std::string& scene);

}  // namespace gantry::scene
