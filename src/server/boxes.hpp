#pragma once
#include <cstdint>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/core/image.hpp"

namespace gantry::server {

/// A copy of a picture in host memory with boxes drawn into it, for snapshots. Keeps its buffer.
class BoxPainter {
 public:
  /// @return a view that is good until the next call
  [[nodiscard]] Image paint(const Image& image, const Detections& detections);

 private:
  void frame(const Image& image, const Box& box, int line);
  void fill(const Image& image, int x1, int y1, int x2, int y2);
  std::vector<std::uint8_t> pixels_;
};

}  // namespace gantry::server
