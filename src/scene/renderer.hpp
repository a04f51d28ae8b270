#pragma once
// Draws one camera's frames: the backdrop once, then only what moves, into NV12 (BT.709, limited range), and says
// exactly what can be seen of each object. Used by one thread at a time; allocates nothing once warm.
#include <cstdint>
#include <memory>
#include <vector>

#include "gantry/core/detection.hpp"
#include "scene/backdrop.hpp"
#include "scene/camera.hpp"
#include "scene/light.hpp"
#include "scene/mesh.hpp"
#include "scene/network.hpp"
#include "scene/project.hpp"
#include "scene/raster.hpp"
#include "scene/world.hpp"

namespace gantry::scene {

/// What one frame shows of one object. Boxes are in pixels of the picture, edges.
struct Sighting {
  const ObjectState* object = nullptr;
  Box full;              ///< of the whole body, also where hidden or outside the picture
  Box visible;           ///< of the pixels that can be seen
  float occlusion = 0;   ///< share of its outline inside the picture that something hides, 0…1
  float truncation = 0;  ///< share of the full box outside the picture, 0…1
  int visible_px = 0;    ///< pixels at least half its own
};

/// An NV12 picture to draw into.
struct Nv12 {
  std::uint8_t* y = nullptr;
  std::uint8_t* uv = nullptr;
  std::ptrdiff_t stride = 0;  ///< bytes of both planes' rows
};

class Renderer {
 public:
  Renderer(const Layout& layout, const CameraMount& mount, int width, int height, double hour, Weather weather,
           double fps);

  /// Draws the moment `now`; `index` numbers the frame and seeds noise and rain. `sightings` is refilled, in rising
  /// order of id, and points into `now`.
  void draw(const Snapshot& now, std::uint64_t index, const Nv12& out, std::vector<Sighting>& sightings);
  [[nodiscard]] const Camera& camera() const noexcept { return camera_; }
  [[nodiscard]] const Light& light() const noexcept { return light_; }

 private:
  static constexpr int kTileW = 32;
  static constexpr int kTileH = 16;
  static constexpr std::uint8_t kLampOwner = 255;  ///< of a sample that no object owns
  struct Drawn {
    const ObjectState* object = nullptr;
    const Mesh* mesh = nullptr;
    float depth = 0;  ///< metres ahead of the camera
    bool far = false;
    Rect rect;
    Box full;
    bool cut = false;  ///< part of it lies behind the near plane
    int outline = 0;   ///< samples of its outline inside the picture
    int seen0 = 0;     ///< of these, not hidden
    int visible_px = 0;
    int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  };

  void clear_tiles();
  void mark(const Rect& rect);
  void collect(const Snapshot& now);
  void draw_shadows(const Drawn& d);
  void draw_body(Drawn& d, std::uint8_t owner, double seconds);
  void draw_lamps(const Snapshot& now);
  void draw_light_pools(const Drawn& d);
  void resolve(const Nv12& out);
  void glow_lights(const Nv12& out);
  void add_spot(const Nv12& out, float u, float v, float radius, float amount, float red, float w);
  void rain(const Nv12& out, std::uint64_t index);
  void noise(const Nv12& out, std::uint64_t index);

  Layout layout_;
  Camera camera_;
  Light light_;
  Film film_;
  Backdrop backdrop_;
  int width_, height_;
  float shutter_;  ///< seconds
  RasterTarget target_;
  std::vector<std::uint8_t> still_y_, still_uv_;
  std::vector<std::uint8_t> pools_;  ///< headlights on the road
  int tiles_x_, tiles_y_;
  std::vector<std::uint8_t> dirty_;  ///< tiles that hold more than the backdrop
  std::vector<Drawn> drawn_;
  std::vector<ClipVertex> vertices_;
  std::vector<Corner> corners_;
  std::vector<float> facing_;
  std::vector<std::int8_t> noise_;
};

}  // namespace gantry::scene
