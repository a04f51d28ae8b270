#include "cli/detect_inputs.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>

#include "gantry/core/errors.hpp"
#include "gantry/media/url.hpp"

namespace gantry::cli {
namespace fs = std::filesystem;
namespace {

bool has_ending(const fs::path& path, std::initializer_list<std::string_view> endings) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

bool is_video(const fs::path& path) {
  return has_ending(path, {".mp4", ".mkv", ".avi", ".mov", ".ts", ".m2ts", ".webm", ".m4v", ".flv", ".mpg", ".mpeg",
                           ".wmv", ".3gp", ".h264", ".h265", ".hevc"});
}

/// The videos of a folder that holds no picture; empty for everything else.
std::vector<std::string> videos_in(const std::string& named) {
  std::error_code error;
  std::vector<std::string> videos;
  if (!fs::is_directory(named, error)) return videos;
  for (const auto& entry : fs::directory_iterator{named, error}) {
    if (entry.is_directory(error)) continue;
    if (media::is_picture_path(entry.path().string())) return {};
    if (is_video(entry.path())) videos.push_back(entry.path().string());
  }
  std::sort(videos.begin(), videos.end());
  return videos;
}

std::string name_of(const std::string& url) {
  if (media::url_scheme(url).empty() || media::url_scheme(url) == "file") {
    fs::path path = fs::path{url}.lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    const auto stem = path.stem().string();
    return stem.empty() ? "input" : stem;
  }
  std::string_view rest = url;
  rest.remove_prefix(rest.find("://") + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (const auto at = rest.substr(0, rest.find('/')).rfind('@'); at != std::string_view::npos)
    rest.remove_prefix(at + 1);
  std::string name{rest};
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name.empty() ? "input" : name;
}

}  // namespace

std::vector<app::OfflineInput> make_inputs(const std::vector<std::string>& named, const media::SourceConfig& like) {
  std::vector<std::string> urls;
  for (const auto& name : named) {
    const auto videos = videos_in(name);
    if (videos.empty())
      urls.push_back(name);
    else
      urls.insert(urls.end(), videos.begin(), videos.end());
  }
  std::vector<app::OfflineInput> inputs;
  std::set<std::string> taken;
  for (const auto& url : urls) {
    app::OfflineInput input;
    const auto name = name_of(url);
    input.name = name;
    for (int copy = 2; !taken.insert(input.name).second; ++copy) input.name = name + "_" + std::to_string(copy);
    input.url = media::redact_url(url);
    input.pictures = media::url_scheme(url).empty() && media::is_picture_path(url);
    auto config = like;
    config.url = url;
    input.source = media::make_source(config);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

}  // namespace gantry::cli
