#include "config/reader.hpp"

#include <algorithm>
#include <cctype>

#include "gantry/config/suggest.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::config {
namespace {

constexpr const char* kNoValue = ": has no value; give it one or take the line out";

int line_of(const YAML::Mark& mark) noexcept {
  return mark.is_null() ? 0 : mark.line + 1;
}

std::string child(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

// Messages repeat text of the file and end up on a terminal.
std::string printable(const std::string& message) {
  constexpr std::size_t kLongest = 1000;
  std::string text = message.substr(0, kLongest);
  for (char& c : text)
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '?';
  return message.size() > kLongest ? text + "…" : text;
}

/// The first entry called `name`, or end(). Not node[name], which compares converted values and adds missing ones.
YAML::const_iterator find(const YAML::Node& node, const std::string& name) {
  return std::find_if(node.begin(), node.end(),
                      [&](const auto& entry) { return entry.first.IsScalar() && entry.first.Scalar() == name; });
}

/// The first line that is indented with a tab, from 1, or 0. yaml-cpp's own message for it names neither.
int tabbed_line(std::string_view text) {
  int line = 1;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto row = text.substr(0, end);
    const auto first = row.find_first_not_of(" \t");
    const bool blank = first == std::string_view::npos || row[first] == '#' || row[first] == '\r';
    if (!blank && row.substr(0, first).find('\t') != std::string_view::npos) return line;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    ++line;
  }
  return 0;
}

bool is_name_char(char c, bool first) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return c == '_' || (first ? std::isalpha(byte) : std::isalnum(byte)) != 0;
}

bool is_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < name.size(); ++i)
    if (!is_name_char(name[i], i == 0)) return false;
  return !name.empty();
}

}  // namespace

std::optional<YAML::Node> Reader::parse(std::string_view text) {
  if (const int line = tabbed_line(text); line != 0) {
    problems_.push_back({line, "indented with a tab; YAML allows only spaces there"});
    return std::nullopt;
  }
  try {
    YAML::Node root = YAML::Load(std::string{text});
    return root;
  } catch (const YAML::Exception& error) {
    problems_.push_back({line_of(error.mark), "not valid YAML: " + error.msg});
  }
  return std::nullopt;
}

void Reader::problem(const YAML::Node& at, const std::string& text) {
  problems_.push_back({at.IsDefined() ? line_of(at.Mark()) : 0, text});
}

void Reader::throw_problems() const {
  if (problems_.empty()) return;
  auto sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
  std::string message;
  for (const auto& [line, text] : sorted) {
    if (!message.empty()) message += '\n';
    message += origin_ + (line != 0 ? ":" + std::to_string(line) : "") + ": " + printable(text);
  }
  throw ConfigError(message);
}

std::optional<std::string> Reader::scalar(const YAML::Node& node, const std::string& path) {
  if (node.IsNull() || (node.IsScalar() && node.Scalar().empty())) {
    problem(node, path + kNoValue);
    return std::nullopt;
  }
  if (!node.IsScalar()) {
    problem(node, path + ": one value is expected here, not a " + (node.IsMap() ? "section" : "list"));
    return std::nullopt;
  }
  return expand(node, path);
}

std::optional<std::string> Reader::expand(const YAML::Node& node, const std::string& path) {
  const std::string& text = node.Scalar();
  std::string value;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 3, "$${") == 0) {  // $${ stands for ${ itself
      value += "${";
      at += 3;
    } else if (text.compare(at, 2, "${") == 0) {
      const auto end = text.find('}', at);
      const std::string name = end == std::string::npos ? "" : text.substr(at + 2, end - at - 2);
      if (!is_name(name)) {
        problem(node, path +
                          ": '${' begins the name of an environment variable, like ${CAMERA_PASSWORD}; write $${ for "
                          "the characters themselves");
        return std::nullopt;
      }
      const auto found = environment_(name);
      if (!found) {
        problem(node, path + ": the environment variable " + name + " is not set; export it before the start");
        return std::nullopt;
      }
      value += *found;
      at = end + 1;
    } else {
      value += text[at++];
    }
  }
  return value;
}

void Reader::check_names(const Section& section, const YAML::Node& node, const std::string& path) {
  std::vector<std::string> known;
  for (const auto& key : section.keys) known.push_back(key.name);
  std::map<std::string, int> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      problem(entry.first, (path.empty() ? std::string{"the file"} : path) + ": a key must be a plain word");
      continue;
    }
    const auto& name = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), name) == known.end())
      problem(entry.first, "unknown key '" + child(path, name) + "'" + did_you_mean(name, known));
    const auto [first, fresh] = seen.emplace(name, line_of(entry.first.Mark()));
    if (!fresh)
      problem(entry.first,
              "'" + child(path, name) + "' is given twice, first in line " + std::to_string(first->second));
  }
}

void Reader::read_section(const Section& section, void* object, const YAML::Node& node, const std::string& path) {
  if (node.IsNull()) return;
  if (!node.IsMap())
    return problem(node, path.empty() ? std::string{"keys and values are expected, like 'cameras:'"}
                                      : path + ": a section is expected, indented below its name");
  check_names(section, node, path);
  const auto before = problems_.size();
  for (const auto& key : section.keys) {
    const auto key_path = child(path, key.name);
    const auto entry = find(node, key.name);
    if (entry == node.end()) {
      if (key.required) problem(node, path + ": '" + key.name + "' is missing");
      continue;
    }
    const YAML::Node value = entry->second;
    if (value.IsNull() && key.is.section == nullptr) {
      // A value that is not there has no line of its own.
      problem(entry->first, key_path + kNoValue);
    } else if (key.is.is_map()) {
      read_map(key, object, value, key_path);
    } else if (key.is.section != nullptr) {
      read_section(*key.is.section, key.is.member(object), value, key_path);
    } else {
      key.is.read(object, value, *this, key_path);
    }
  }
  if (!section.check || problems_.size() != before) return;
  if (const auto text = section.check(object); !text.empty()) problem(node, path + ": " + text);
}

void Reader::read_map(const Key& key, void* object, const YAML::Node& node, const std::string& path) {
  if (node.IsNull()) return;
  if (!node.IsMap()) return problem(node, path + ": sections are expected, each indented below its id");
  std::map<std::string, int> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || !is_camera_id(entry.first.Scalar())) {
      problem(entry.first, path + ": " + (entry.first.IsScalar() ? "'" + entry.first.Scalar() + "'" : "a list") +
                               " is no id; use 1 to 64 letters, digits, '_', '-' or '.', the first a letter or digit");
      continue;
    }
    const auto& id = entry.first.Scalar();
    const auto [first, fresh] = seen.emplace(id, line_of(entry.first.Mark()));
    if (!fresh) {
      problem(entry.first, "'" + child(path, id) + "' is given twice, first in line " + std::to_string(first->second));
      continue;
    }
    void* added = key.is.add(object, id);
    if (entry.second.IsNull())
      problem(entry.first, child(path, id) + ": is empty; it needs at least a source");
    else
      read_section(*key.is.section, added, entry.second, child(path, id));
  }
}

}  // namespace gantry::config
