#include "gantry/engine/evaluate.hpp"

#include "gantry/core/expects.hpp"

namespace gantry::engine {

vision::CocoEvaluator evaluate(const vision::Dataset& dataset, std::span<const PictureResult> answers) {
  GANTRY_EXPECTS(answers.size() == dataset.images.size(), "one answer a picture of the data set");
  vision::CocoEvaluator evaluator;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& [width, height, found] = answers[i];
    const auto [truth, detections] = vision::judged(dataset.images[i], width, height, found);
    evaluator.add(truth, detections);
  }
  return evaluator;
}

}  // namespace gantry::engine
