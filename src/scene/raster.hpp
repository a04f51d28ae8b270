#pragma once
// The rasteriser: four sample planes, each a picture of its own with a depth buffer, whose pixel centres are shifted by
// a quarter of a pixel and whose moment lies a quarter of the shutter apart. Their mean is anti-aliased and motion
// blurred. Colours are Y, U, V as they will stand in the picture, interpolated linearly in the image.
#include <array>
#include <cstdint>
#include <vector>

#include "scene/light.hpp"

namespace gantry::scene {

inline constexpr int kSamples = 4;
/// Offsets of the sample within its pixel (a rotated grid), pixels.
inline constexpr std::array<std::array<float, 2>, kSamples> kSampleOffset{
    {{0.375F, 0.125F}, {0.875F, 0.375F}, {0.125F, 0.625F}, {0.625F, 0.875F}}};

/// A corner in the image: pixels, 1/depth (1/m), colour.
struct Corner {
  float x = 0, y = 0, w = 0;
  Yuv colour;
};

/// Rows and columns, half open.
struct Rect {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  [[nodiscard]] bool empty() const noexcept { return x0 >= x1 || y0 >= y1; }
  void include(const Rect& r) noexcept;
};

/// The pixels of a `width` x `height` picture that `count` corners span, and one around them.
Rect bounds(const Corner* corners, int count, int width, int height) noexcept;

/// One sample of every pixel.
struct SamplePlane {
  std::vector<std::uint32_t> colour;  ///< Y | U << 8 | V << 16 | owner << 24; owner 0: nothing drawn
  std::vector<float> depth;           ///< 1/m, larger is nearer
};

struct RasterTarget {
  int width = 0, height = 0;
  std::array<SamplePlane, kSamples> planes;
  std::vector<std::uint8_t> shadow;   ///< low four bits: the sun is hidden, high four: the sky is; a bit a sample
  std::vector<std::uint8_t> touched;  ///< last owner whose outline covered the pixel's first sample, hidden or not
  void resize(int w, int h, bool owners);
};

/// Movement in the picture from one sample's moment to the next, pixels.
struct Shift {
  float x = 0, y = 0;
};

/// Draws one triangle, both windings, into every plane, displaced by `shift` times -1.5, -0.5, 0.5 and 1.5. Returns the
/// number of first samples that `owner` touches for the first time in this frame, hidden or not, where
/// `count_touched`. Clips to the target.
int draw_triangle(RasterTarget& target, const Corner& a, const Corner& b, const Corner& c, Shift shift,
                  std::uint8_t owner, bool count_touched);

/// Marks one sample of a ground shadow where nothing stands in front of it (`still` is the depth of what does not
/// move).
void draw_shadow(RasterTarget& target, int plane, bool contact, const Corner& a, const Corner& b, const Corner& c,
                 const std::vector<float>& still);

/// Adds a light's spread over the ground: the corner's colour.y is the amount, saturating.
void draw_glow(std::vector<std::uint8_t>& plane, int width, int height, const Corner& a, const Corner& b,
               const Corner& c);

}  // namespace gantry::scene
