#include "engine/metadata.hpp"

#include <yaml-cpp/yaml.h>

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

[[noreturn]] void unreadable(std::string_view path, const std::string& key, const std::exception& error) {
  throw ModelError(std::string(path) + ": its metadata `" + key + "` can't be read (" + error.what() +
                   "). Export the model again.");
}

}  // namespace

ModelMetadata parse_metadata(const std::map<std::string, std::string>& properties, std::string_view path) {
  ModelMetadata metadata;
  for (const auto& [key, text] : properties) {
    try {
      // Python's literals for lists and dictionaries are YAML flow style; free text is not.
      const bool literal = key == "names" || key == "imgsz" || key == "stride";
      take(metadata, key, literal ? YAML::Load(text) : YAML::Node(text));
    } catch (const YAML::Exception& error) {
      unreadable(path, key, error);
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
    unreadable(path, key, error);
  }
  return metadata;
}

}  // namespace gantry::engine
