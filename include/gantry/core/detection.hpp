#pragma once
// What a detector says of one frame.
#include <cstdint>
#include <vector>

namespace gantry {

/// A box in pixels of the source picture, x to the right and y down, x1 <= x2 and y1 <= y2, edges (not pixel centres).
struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  [[nodiscard]] float width() const noexcept { return x2 - x1; }
  [[nodiscard]] float height() const noexcept { return y2 - y1; }
  [[nodiscard]] float area() const noexcept { return width() * height(); }
};

/// Intersection over union; 0 where both are empty.
[[nodiscard]] inline float iou(const Box& a, const Box& b) noexcept {
  const float w = (a.x2 < b.x2 ? a.x2 : b.x2) - (a.x1 > b.x1 ? a.x1 : b.x1);
  const float h = (a.y2 < b.y2 ? a.y2 : b.y2) - (a.y1 > b.y1 ? a.y1 : b.y1);
  if (w <= 0 || h <= 0) return 0;
  const float both = w * h;
  return both / (a.area() + b.area() - both);
}

struct Detection {
  Box box;
  float confidence = 0;       ///< 0…1
  std::int32_t class_id = 0;  ///< index into the model's class names
};

/// In falling order of confidence.
using Detections = std::vector<Detection>;

}  // namespace gantry
