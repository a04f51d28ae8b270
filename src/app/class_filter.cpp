#include "gantry/app/class_filter.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "gantry/config/suggest.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::app {
namespace {

std::optional<int> number(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 12;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > kShown ? text + ", … (" + std::to_string(names.size()) + " in all)" : text;
}

}  // namespace

std::vector<int> class_ids(const std::vector<std::string>& wanted, const std::vector<std::string>& class_names,
                           const std::string& where) {
  std::vector<int> ids;
  for (const auto& name : wanted) {
    const auto found = std::find(class_names.begin(), class_names.end(), name);
    const auto id =
        found != class_names.end() ? static_cast<int>(found - class_names.begin()) : number(name).value_or(-1);
    if (id < 0 || id >= static_cast<int>(class_names.size())) {
      const auto meant = config::did_you_mean(name, class_names);
      throw ConfigError(where + ": the model has no class '" + name + "'" +
                        (meant.empty() ? "; it has " + some_of(class_names) : meant));
    }
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace gantry::app
