#pragma once
// What `gantry val` judges: the answers of a model, or answers given earlier, to the pictures of a labelled data set.
#include <string>
#include <vector>

#include "cli/common_options.hpp"
#include "gantry/engine/sweep.hpp"
#include "gantry/vision/dataset.hpp"

namespace gantry::cli {

struct ValCommand {
  std::string data;
  std::string images;
  std::string split;
  std::string predictions;
  std::string save_json;
  std::vector<std::string> compare;  ///< two, or empty
  ModelChoice model;
  bool size_given = false;
  float confidence = 0.001F;
  float iou = 0.7F;
  int max_detections = 300;
  bool json = false;
};

struct ValAnswers {
  std::vector<engine::PictureResult> pictures;  ///< in the data set's order
  std::vector<std::string> class_names;         ///< empty where nobody knows them
};

/// @throws StartupError
[[nodiscard]] vision::Dataset read_labels(const ValCommand& command);

/// Runs a model over the data set, whose categories become the model's classes, by name.
/// @throws StartupError, ModelError, DeviceError
[[nodiscard]] ValAnswers run_model(const std::string& model, const ValCommand& command, vision::Dataset& dataset);

/// Predictions made earlier: a line's `camera` is the picture's file name without its ending. @throws StartupError
[[nodiscard]] ValAnswers read_predictions(const std::string& file, const vision::Dataset& dataset);

/// "class7" where nobody knows its name.
[[nodiscard]] std::string class_name(const std::vector<std::string>& names, int class_id);

}  // namespace gantry::cli
