#pragma once
// A YOLO detector as OpenVINO sees it: read, checked, cut at the head's raw maps and freed of its exported size.
#include <filesystem>
#include <memory>
#include <openvino/core/model.hpp>
#include <openvino/runtime/core.hpp>
#include <string>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine::openvino {

struct Detector {
  std::shared_ptr<ov::Model> model;  ///< static, at info.native_shape; reshape() it where info.any_shape
  ModelInfo info;
  /// Strides of the raw maps; the model's results are (distances, scores) of each in turn. Empty where the head has
  /// another form: then the one result is [1, 4 + classes, anchors].
  std::vector<int> map_strides;
};

/// The file to read: the path itself, or the one .xml in the folder that Ultralytics exports. @throws ModelError
[[nodiscard]] std::filesystem::path model_file(const std::string& path);

/// @throws ModelError
[[nodiscard]] Detector read_detector(ov::Core& core, const std::string& path);

}  // namespace gantry::engine::openvino
