#pragma once
// What a sweep found against a data set's labels. Owner: none, a pure function. Thread-safe.
#include <span>

#include "gantry/engine/sweep.hpp"
#include "gantry/vision/coco_eval.hpp"
#include "gantry/vision/dataset.hpp"

namespace gantry::engine {

/// All pictures judged as vision::judged() has it, ready to be scored. @pre one answer a picture, in the data set's
/// order
[[nodiscard]] vision::CocoEvaluator evaluate(const vision::Dataset& dataset, std::span<const PictureResult> answers);

}  // namespace gantry::engine
