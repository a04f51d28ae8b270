#include "gantry/app/model_finder.hpp"

#include <algorithm>
#include <cstdlib>

#include "gantry/config/suggest.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::app {
namespace fs = std::filesystem;
namespace {

bool is_model(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path.extension() == ".onnx" || path.extension() == ".xml";
  for (const auto& entry : fs::directory_iterator{path, error})
    if (entry.path().extension() == ".xml") return true;
  return false;
}

std::vector<std::string> names_in(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& folder : folders)
    for (const auto& entry : fs::directory_iterator{folder, error})
      if (is_model(entry.path()))
        names.push_back(entry.is_directory(error) ? entry.path().filename().string() : entry.path().stem().string());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::vector<fs::path> model_folders() {
  std::vector<fs::path> folders;
  if (const char* chosen = std::getenv("GANTRY_MODELS"); chosen != nullptr && *chosen != '\0')  // NOLINT
    folders.emplace_back(chosen);
  std::error_code error;
  const auto program = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (program.empty()) return folders;
  constexpr int kLevelsUp = 3;
  auto folder = program;
  for (int i = 0; i <= kLevelsUp; ++i, folder = folder.parent_path()) folders.push_back(folder / "models");
  folders.push_back(program.parent_path() / "share" / "gantry" / "models");
  return folders;
}

std::string find_model(const std::string& name, const std::vector<fs::path>& folders) {
  std::error_code error;
  const fs::path as_path{name};
  const bool is_path = name.find('/') != std::string::npos || !as_path.extension().empty();
  if (is_path || fs::exists(as_path, error)) {
    if (!fs::exists(as_path, error)) throw ModelError(name + ": no such model file; check the path");
    return name;
  }
  for (const auto& folder : folders)
    for (const char* ending : {".onnx", ".xml", ""})
      if (const auto path = folder / (name + ending); fs::exists(path, error) && is_model(path)) return path.string();
  const auto names = names_in(folders);
  std::vector<std::string> looked_in;
  for (const auto& folder : folders)
    if (fs::is_directory(folder, error)) looked_in.push_back(folder.lexically_normal().string());
  auto meant = config::did_you_mean(name, names);
  if (meant.empty()) meant = ".";
  const auto place = looked_in.empty() ? std::string{"models/ beside the program"} : join(looked_in);
  const auto there = names.empty() ? " There are no models in " + place : " There are " + join(names) + " in " + place;
  throw ModelError("no model called '" + name + "'" + meant + there +
                   ". Give a file (model.onnx), or set GANTRY_MODELS to the folder of your models");
}

}  // namespace gantry::app
