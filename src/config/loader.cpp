#include "gantry/config/loader.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/reader.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::config {

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody calls setenv
    return value != nullptr ? std::optional<std::string>{value} : std::nullopt;
  };
}

Config load_text(std::string_view yaml, const std::string& origin, const Environment& environment) {
  Reader reader{origin, environment};
  Config config;
  if (const auto root = reader.parse(yaml)) reader.read_section(root_section(), &config, *root, "");
  reader.throw_problems();
  return config;
}

CameraConfig load_camera(std::string_view yaml, const std::string& id, const std::string& origin,
                         const CameraConfig& base, const Environment& environment) {
  if (!is_camera_id(id))
    throw ConfigError(origin + ": '" + id.substr(0, 80) +
                      "' is no camera id; use 1 to 64 letters, digits, '_', '-' or '.', the first a letter or digit");
  Reader reader{origin, environment};
  CameraConfig camera = base;
  if (const auto root = reader.parse(yaml)) {
    if (root->IsMap())
      reader.read_section(camera_section(), &camera, *root, "cameras." + id);
    else
      reader.problem(*root, "cameras." + id + ": keys and values are expected, at least a source");
  }
  reader.throw_problems();
  return camera;
}

Config load_file(const std::string& path, const Environment& environment) {
  constexpr std::size_t kLargestFile = 16U << 20U;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw ConfigError(path + ": is a folder; name the YAML file in it");
  std::ifstream file{path, std::ios::binary};
  if (!file) throw ConfigError(path + ": no such file, or it can't be read");
  std::string text;
  text.resize(kLargestFile + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLargestFile) throw ConfigError(path + ": larger than 16 MiB; this is no configuration file");
  return load_text(text, path, environment);
}

bool is_camera_id(std::string_view id) noexcept {
  constexpr std::size_t kLongest = 64;
  if (id.empty() || id.size() > kLongest) return false;
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return alphanumeric(id.front()) &&
         std::all_of(id.begin(), id.end(), [&](char c) { return alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

}  // namespace gantry::config
