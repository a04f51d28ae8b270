#pragma once
// From what a YOLO network puts out to candidate boxes in input pixels: either the finished `[4 + classes, anchors]`
// output, or the head's raw maps, where the decode (softmax over distance bins, anchors, strides, sigmoid) is Gantry's.
// Raw maps are cheaper: only anchors that pass the threshold are decoded.
//
// Pure functions; thread-safe. They append to `out` and allocate only where its capacity ends.
#include <span>
#include <vector>

#include "gantry/core/detection.hpp"

namespace gantry::vision {

/// The raw maps of one stride.
struct HeadLevel {
  const float* distances = nullptr;  ///< [4 * bins][height][width]: logits of left, top, right, bottom in strides
  const float* scores = nullptr;     ///< [classes][height][width]: logits
  int width = 0, height = 0;         ///< cells
  int stride = 0;                    ///< input pixels a cell
};

/// Which candidates to make of the scores.
struct CandidateOptions {
  float confidence = 0.25F;  ///< keep scores above
  /// Every class above the threshold makes a candidate (how Ultralytics validates), not only the best one of an anchor
  /// (how it predicts).
  bool every_class = false;
};

inline constexpr int kDistanceBins = 16;

/// @pre levels in the order of the network's anchors: small strides first
void decode_maps(std::span<const HeadLevel> levels, int classes, const CandidateOptions& options,
                 std::vector<Detection>& out);
/// Plain reference of decode_maps: every anchor in full.
void decode_maps_reference(std::span<const HeadLevel> levels, int classes, const CandidateOptions& options,
                           std::vector<Detection>& out);

/// `output` is [4 + classes][anchors]: centre x, centre y, width, height in input pixels, then one score a class, 0…1.
void decode_output(const float* output, int classes, int anchors, const CandidateOptions& options,
                   std::vector<Detection>& out);

}  // namespace gantry::vision
