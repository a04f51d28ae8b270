#include "engine/openvino/runner.hpp"

#include <openvino/runtime/tensor.hpp>

#include "gantry/core/clock.hpp"

namespace gantry::engine::openvino {

Runner::Runner(ov::InferRequest request, InputShape shape, const std::vector<int>& map_strides, int classes)
    : request_(std::move(request)), shape_(shape), classes_(classes) {
  input_ = request_.get_input_tensor().data<float>();
  for (std::size_t i = 0; i < map_strides.size(); ++i) {
    ov::Tensor distances = request_.get_output_tensor(2 * i);
    ov::Tensor scores = request_.get_output_tensor(2 * i + 1);
    levels_.push_back({distances.data<float>(), scores.data<float>(), static_cast<int>(scores.get_shape()[3]),
                       static_cast<int>(scores.get_shape()[2]), map_strides[i]});
  }
  if (levels_.empty()) {
    ov::Tensor output = request_.get_output_tensor(0);
    output_ = output.data<float>();
    anchors_ = static_cast<int>(output.get_shape()[2]);
  }
}

void Runner::decode(const DetectOptions& options, std::vector<Detection>& candidates) const {
  const vision::CandidateOptions wanted{options.confidence, options.every_class};
  if (levels_.empty()) {
    vision::decode_output(output_, classes_, anchors_, wanted, candidates);
  } else {
    vision::decode_maps(levels_, classes_, wanted, candidates);
  }
}

Result<void> Runner::run(BatchEntry& entry, WorkerScratch& scratch, StageTimes& times) {
  const Image& image = entry.frame.image;
  if (image.space == MemorySpace::kDevice) {
    return fail(ErrorCode::kUnsupported, "the CPU engine was given a picture that lies on a GPU");
  }
  const SteadyClock clock;
  const TimePoint start = clock.now();
  const vision::LetterboxGeometry geometry =
      vision::letterbox_geometry(image.width, image.height, shape_.width, shape_.height);
  scratch.letterboxer.run(image, geometry, input_, geometry == geometry_);
  geometry_ = geometry;

  const TimePoint ready = clock.now();
  try {
    request_.infer();
  } catch (const std::exception& error) {
    return fail(ErrorCode::kDevice, std::string("OpenVINO: ") + error.what());
  }

  const TimePoint inferred = clock.now();
  const DetectOptions& options = *entry.options;
  scratch.candidates.clear();
  decode(options, scratch.candidates);
  scratch.suppressor.run(scratch.candidates, {options.iou, options.max_detections, options.agnostic, options.classes},
                         entry.detections);
  for (Detection& detection : entry.detections) detection.box = vision::to_source(geometry, detection.box);

  times.preprocess += ready - start;
  times.inference += inferred - ready;
  times.postprocess += clock.now() - inferred;
  return {};
}

}  // namespace gantry::engine::openvino
