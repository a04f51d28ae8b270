#include "engine/cuda/tuning_cache.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine_version.hpp"  // made by the build

namespace gantry::cuda {

namespace {
constexpr const char* kMagic = "gantry-tuning";
constexpr const char* kEnd = "end";
}  // namespace

std::string tuning_engine_version() {
  return kEngineSourcesHash;
}

std::string TuningCache::header() const {
  std::ostringstream out;
  out << kMagic << '\t' << identity_.device << '\t' << identity_.driver_version << '\t' << identity_.engine << '\t'
      << identity_.model_hash;
  return out.str();
}

TuningCache::Loaded TuningCache::load(const std::string& path) {
  choices_.clear();
  std::ifstream file(path);
  if (!file) return Loaded::kMissing;
  std::string line;
  if (!std::getline(file, line) || line.rfind(kMagic, 0) != 0) return Loaded::kCorrupt;
  if (line != header()) return Loaded::kOther;
  std::map<std::string, TuningChoice> choices;
  while (std::getline(file, line)) {
    // "end" and the number of choices, so that a file cut short is seen.
    if (line.rfind(kEnd, 0) == 0) {
      if (line != std::string(kEnd) + '\t' + std::to_string(choices.size())) return Loaded::kCorrupt;
      choices_ = std::move(choices);
      return Loaded::kRead;
    }
    const std::size_t first = line.find('\t'), second = line.find('\t', first + 1);
    if (first == std::string::npos || second == std::string::npos) return Loaded::kCorrupt;
    try {
      choices[line.substr(0, first)] = {line.substr(first + 1, second - first - 1), std::stod(line.substr(second + 1))};
    } catch (const std::exception&) {
      return Loaded::kCorrupt;
    }
  }
  return Loaded::kCorrupt;
}

bool TuningCache::save(const std::string& path) const {
  std::error_code error;
  const std::filesystem::path target(path);
  if (target.has_parent_path()) std::filesystem::create_directories(target.parent_path(), error);
  const std::string temporary = path + ".new";
  {
    std::ofstream file(temporary);
    file << header() << '\n';
    for (const auto& [key, choice] : choices_) file << key << '\t' << choice.name << '\t' << choice.micros << '\n';
    file << kEnd << '\t' << choices_.size() << '\n';
    if (!file.flush()) return false;
  }
  std::filesystem::rename(temporary, target, error);
  return !error;
}

std::optional<TuningChoice> TuningCache::find(const std::string& key) const {
  const auto found = choices_.find(key);
  return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace gantry::cuda
