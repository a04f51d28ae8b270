#pragma once
// OpenCV's INTER_LINEAR for bytes: which two source samples make a target sample, with 11-bit weights.
#include <cstdint>
#include <vector>

namespace gantry::vision {

struct ResizeTap {
  int first = 0, second = 0;  ///< source indices, inside the picture
  std::int16_t weight_first = 0, weight_second = 0;
};

/// Across: at the picture's edges the outer sample gets all the weight.
[[nodiscard]] std::vector<ResizeTap> resize_columns(int source, int target);
/// Down: at the edges the weights stay and both samples are the outer row.
[[nodiscard]] std::vector<ResizeTap> resize_rows(int source, int target);

}  // namespace gantry::vision
