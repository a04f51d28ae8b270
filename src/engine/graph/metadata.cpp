#include "engine/graph/metadata.hpp"

#include <cctype>
#include <charconv>

namespace gantry::graph {
namespace {

class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_end() {
    skip();
    return rest_.empty();
  }
  std::optional<int> integer() {
    skip();
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{}) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  std::optional<std::string> quoted() {
    skip();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return std::nullopt;
    const char quote = rest_.front();
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == quote) {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
      text += rest_[i];
    }
    return std::nullopt;
  }

 private:
  void skip() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

}  // namespace

std::optional<std::vector<std::string>> parse_names(std::string_view text) {
  Cursor cursor(text);
  if (!cursor.take('{')) return std::nullopt;
  std::map<int, std::string> names;
  while (!cursor.take('}')) {
    if (!names.empty() && !cursor.take(',')) return std::nullopt;
    if (!names.empty() && cursor.take('}')) break;
    const auto key = cursor.integer();
    if (!key || !cursor.take(':')) return std::nullopt;
    auto name = cursor.quoted();
    if (!name || !names.emplace(*key, std::move(*name)).second) return std::nullopt;
  }
  if (!cursor.at_end()) return std::nullopt;
  std::vector<std::string> list;
  for (auto& [key, name] : names) {
    if (key != static_cast<int>(list.size())) return std::nullopt;
    list.push_back(std::move(name));
  }
  return list;
}

std::optional<std::vector<int>> parse_ints(std::string_view text) {
  Cursor cursor(text);
  if (!cursor.take('[')) return std::nullopt;
  std::vector<int> list;
  while (!cursor.take(']')) {
    if (!list.empty() && !cursor.take(',')) return std::nullopt;
    const auto value = cursor.integer();
    if (!value) return std::nullopt;
    list.push_back(*value);
  }
  if (!cursor.at_end()) return std::nullopt;
  return list;
}

}  // namespace gantry::graph
