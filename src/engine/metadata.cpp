#include "engine/metadata.hpp"

#include <yaml-cpp/yaml.h>

#include "engine/graph/metadata.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::engine {
namespace {

/// The largest class number that is taken at its word; a damaged file must not make a list of billions.
constexpr int kMaxClasses = 100'000;

std::vector<std::string> names_of(const YAML::Node& node) {
  std::vector<std::string> names;
  if (node.IsSequence()) return node.as<std::vector<std::string>>();
  for (const auto& entry : node) {
    const int index = entry.first.as<int>();
    if (index < 0 || index >= kMaxClasses) throw YAML::Exception(YAML::Mark::null_mark(), "class number out of range");
    if (static_cast<std::size_t>(index) >= names.size()) names.resize(static_cast<std::size_t>(index) + 1);
    names[static_cast<std::size_t>(index)] = entry.second.as<std::string>();
  }
  return names;
}

InputShape shape_of(const YAML::Node& node) {
  if (node.IsScalar()) return {node.as<int>(), node.as<int>()};
  if (node.size() == 1) return {node[0].as<int>(), node[0].as<int>()};
  return {node[1].as<int>(), node[0].as<int>()};
}

void take(ModelMetadata& metadata, const std::string& key, const YAML::Node& value) {
  if (key == "names") metadata.class_names = names_of(value);
  if (key == "stride") metadata.stride = value.as<int>();
  if (key == "imgsz") metadata.image_size = shape_of(value);
  if (key == "task") metadata.task = value.as<std::string>();
  if (key == "description") metadata.description = value.as<std::string>();
}

[[noreturn]] void unreadable(std::string_view path, const std::string& key, const std::string& reason) {
  throw ModelError(std::string(path) + ": its metadata `" + key + "` can't be read (" + reason +
                   "). Export the model again.");
}

}  // namespace

ModelMetadata parse_metadata(const std::map<std::string, std::string>& properties, std::string_view path) {
  ModelMetadata metadata;
  const auto number_of = [&](const std::string& key, const std::string& text) {
    const auto numbers = graph::parse_ints("[" + text + "]");
    if (!numbers || numbers->size() != 1) unreadable(path, key, "expected a whole number");
    return numbers->front();
  };
  for (const auto& [key, text] : properties) {
    if (key == "names") {
      auto names = graph::parse_names(text);
      if (!names) unreadable(path, key, "expected {0: 'name', 1: …}");
      metadata.class_names = std::move(*names);
    } else if (key == "imgsz") {
      const auto sides = graph::parse_ints(text.starts_with('[') ? text : "[" + text + "]");
      if (!sides || sides->empty() || sides->size() > 2) unreadable(path, key, "expected [height, width]");
      metadata.image_size = {sides->back(), sides->front()};
    } else if (key == "stride") {
      metadata.stride = number_of(key, text);
    } else if (key == "task") {
      metadata.task = text;
    } else if (key == "description") {
      metadata.description = text;
    }
  }
  return metadata;
}

ModelMetadata read_metadata_yaml(const std::string& path) {
  ModelMetadata metadata;
  std::string key = "metadata.yaml";
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (!root.IsMap()) throw YAML::Exception(YAML::Mark::null_mark(), "not a map");
    for (const auto& entry : root) {
      key = entry.first.as<std::string>();
      take(metadata, key, entry.second);
    }
  } catch (const YAML::Exception& error) {
    unreadable(path, key, error.what());
  }
  return metadata;
}

}  // namespace gantry::engine
