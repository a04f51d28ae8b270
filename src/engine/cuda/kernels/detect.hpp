#pragma once
// Decode of the head's raw maps and class-wise NMS, both on the GPU and deterministic. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

inline constexpr int kMaxLevels = 4;
/// NMS looks at this many candidates of an image, the best by score.
inline constexpr int kMaxCandidates = 4096;
/// Of these, so many at a time.
inline constexpr int kNmsRound = 512;
/// Most detections of an image that leave the card.
inline constexpr int kMaxDetections = 1024;

/// One image's thresholds, in device memory so that a captured graph can run with any.
struct DetectLimits {
  float confidence = 0.25F;
  float iou = 0.7F;
  std::int32_t max_detections = 300;  ///< 1…kMaxDetections
  std::int32_t agnostic = 0;          ///< NMS across classes
};

/// In pixels of the network's input.
struct RawDetection {
  float x1, y1, x2, y2, confidence;
  std::int32_t class_id;
};

struct DetectLevel {
  const __half* boxes = nullptr;    ///< [N,H,W,pitch], 4·bins channels
  const __half* classes = nullptr;  ///< [N,H,W,pitch]
  int box_pitch = 0, class_pitch = 0, h = 0, w = 0;
  float stride = 8;
  int first_anchor = 0;
};

/// One image's first round: the best candidates by rank, and which earlier ones suppress each.
struct NmsRound {
  float4 boxes[kNmsRound];
  std::uint64_t keys[kNmsRound];  ///< as DetectArgs::keys, zero behind the last
  std::int32_t ids[kNmsRound];
  std::uint32_t rivals[kNmsRound / 32][kNmsRound];  ///< [word][rank]; bit b of word w: rank 32·w + b
};

struct DetectArgs {
  DetectLevel levels[kMaxLevels];
  int level_count = 0, anchors = 0, n = 0, classes = 0, bins = 16;
  const DetectLimits* limits = nullptr;        ///< [N]
  const std::uint32_t* class_masks = nullptr;  ///< [N][ceil(classes / 32)], bit set: wanted
  // Workspace, device.
  std::uint64_t* keys = nullptr;   ///< [N][anchors]
  float4* boxes = nullptr;         ///< [N][anchors], 16-byte aligned
  std::int32_t* ids = nullptr;     ///< [N][anchors]
  NmsRound* round = nullptr;       ///< [N]
  std::int32_t* counts = nullptr;  ///< [N]; zero before the first run, left at zero by every run
  // Results; device or mapped pinned memory.
  RawDetection* detections = nullptr;        ///< [N][kMaxDetections], falling by confidence
  std::int32_t* detection_counts = nullptr;  ///< [N]
};

/// Three kernels, one behind the other: decode; the first round's order and rivals; NMS. Asynchronous on `stream`.
cudaError_t launch_decode(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream);
cudaError_t launch_rank(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream);
cudaError_t launch_nms(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream);

}  // namespace gantry::cuda
