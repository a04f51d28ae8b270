#pragma once
// One worker's way from a picture to detections: letterbox into the network's own input, inference on the calling
// thread, decode and NMS out of the network's own outputs.
#include <openvino/runtime/infer_request.hpp>
#include <vector>

#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/vision/head.hpp"
#include "gantry/vision/letterbox.hpp"
#include "gantry/vision/nms.hpp"

namespace gantry::engine::openvino {

/// What of a worker outlives a change of shape.
struct WorkerScratch {
  vision::Letterboxer letterboxer;
  vision::Suppressor suppressor;
  std::vector<Detection> candidates;
};

/// One infer request of one compiled shape. Used by one thread at a time.
class Runner {
 public:
  Runner(ov::InferRequest request, InputShape shape, const std::vector<int>& map_strides, int classes);

  /// Adds what it took to `times`.
  [[nodiscard]] Result<void> run(BatchEntry& entry, WorkerScratch& scratch, StageTimes& times);

 private:
  void decode(const DetectOptions& options, std::vector<Detection>& candidates) const;

  ov::InferRequest request_;
  InputShape shape_;
  int classes_;
  float* input_ = nullptr;
  vision::LetterboxGeometry geometry_;     ///< of the newest picture, whose padding is still in the input
  std::vector<vision::HeadLevel> levels_;  ///< views of the outputs; empty where output_ is used
  const float* output_ = nullptr;
  int anchors_ = 0;
};

}  // namespace gantry::engine::openvino
