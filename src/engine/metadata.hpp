#pragma once
// What an Ultralytics export says of itself: ONNX metadata properties, or metadata.yaml beside an OpenVINO IR.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

/// Everything is optional: a field that is missing keeps its default.
struct ModelMetadata {
  std::vector<std::string> class_names;
  std::string description;
  std::string task;  ///< "detect", "segment", …
  int stride = 0;
  InputShape image_size;
};

/// `properties` as they stand in the file: names "{0: 'person', …}", imgsz "[640, 640]" (height first), stride "32".
/// @throws ModelError for text that can't be read, naming `path` and the property
[[nodiscard]] ModelMetadata parse_metadata(const std::map<std::string, std::string>& properties, std::string_view path);

/// @throws ModelError where the file can't be read or is not a YAML map
[[nodiscard]] ModelMetadata read_metadata_yaml(const std::string& path);

}  // namespace gantry::engine
