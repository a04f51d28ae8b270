#pragma once
// The colour of the ground at any point: surfaces with their texture, wear, and paint. Read-only after construction.
#include <vector>

#include "scene/layout.hpp"
#include "scene/vec3.hpp"

namespace gantry::scene {

/// Smooth noise in 0…1 with features of one unit.
[[nodiscard]] float value_noise(float x, float y, std::uint32_t seed) noexcept;

class Ground {
 public:
  explicit Ground(const Layout& layout);
  struct Sample {
    Vec3 albedo;
    float gloss = 0;  ///< how much a wet surface mirrors, 0…1
  };
  /// `blur` is the size of a pixel on the ground in metres; details below it are averaged away.
  [[nodiscard]] Sample at(float x, float y, float blur) const noexcept;

 private:
  static constexpr float kCell = 5;  // metres
  struct Segment {
    Vec2 a, b;
    float half_width, dash, period, offset;
    bool yellow, wear;
    float strength;
  };
  struct Convex {
    std::vector<Vec2> points;
    Surface surface;
    bool paint;
  };
  struct Cell {
    std::vector<int> patches, paint, segments;
  };
  [[nodiscard]] const Cell* cell(float x, float y) const noexcept;
  template <typename Add>
  void in_cells(double x0, double y0, double x1, double y1, Add&& add);

  float extent_;
  int side_;
  std::vector<Convex> patches_, paint_;
  std::vector<Segment> segments_;
  std::vector<Cell> cells_;
};

}  // namespace gantry::scene
