// Scalars and lists: from YAML to a value and back.
#include <yaml-cpp/yaml.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "config/reader.hpp"
#include "config/table.hpp"
#include "gantry/config/suggest.hpp"

namespace gantry::config {
namespace {

template <typename T>
std::optional<T> parse_all(std::string_view text) noexcept {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// As it stands in the file: a value that came out of ${NAME} stays hidden.
std::string quoted(const YAML::Node& node) {
  return "'" + node.Scalar() + "'";
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::optional<double> parse_number(std::string_view text) noexcept {
  const auto value = parse_all<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<long long> parse_whole(std::string_view text) noexcept {
  return parse_all<long long>(text);
}

std::string show_number(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::string show_text(const std::string& value) {
  // Plain where YAML reads it back as the same text, quoted otherwise.
  const bool plain = !value.empty() &&
                     value.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-./") == std::string::npos &&
                     value.front() != '-';
  if (plain) return value;
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

std::string show_texts(const std::vector<std::string>& values) {
  std::vector<std::string> shown;
  for (const auto& value : values) shown.push_back(show_text(value));
  return "[" + join(shown) + "]";
}

void read_number(const YAML::Node& node, Reader& reader, const std::string& path, double low, double high,
                 double& out) {
  const auto text = reader.scalar(node, path);
  if (!text) return;
  const auto value = parse_number(*text);
  if (!value) return reader.problem(node, path + ": " + quoted(node) + " is not a number");
  if (*value < low || *value > high)
    return reader.problem(
        node, path + ": " + quoted(node) + " is out of range; use " + show_number(low) + "…" + show_number(high));
  out = *value;
}

void read_whole(const YAML::Node& node, Reader& reader, const std::string& path, long long low, long long high,
                long long& out) {
  const auto text = reader.scalar(node, path);
  if (!text) return;
  const auto value = parse_whole(*text);
  if (!value) {
    const bool too_large = parse_number(*text).has_value() && text->find_first_of(".eE") == std::string::npos;
    if (!too_large) return reader.problem(node, path + ": " + quoted(node) + " is not a whole number");
  }
  if (!value || *value < low || *value > high)
    return reader.problem(
        node, path + ": " + quoted(node) + " is out of range; use " + std::to_string(low) + "…" + std::to_string(high));
  out = *value;
}

void read_flag(const YAML::Node& node, Reader& reader, const std::string& path, bool& out) {
  const auto text = reader.scalar(node, path);
  if (!text) return;
  if (*text == "true" || *text == "yes" || *text == "on")
    out = true;
  else if (*text == "false" || *text == "no" || *text == "off")
    out = false;
  else
    reader.problem(node, path + ": " + quoted(node) + " is neither true nor false");
}

void read_text(const YAML::Node& node, Reader& reader, const std::string& path, bool may_be_empty, std::string& out) {
  if (may_be_empty && node.IsScalar() && node.Scalar().empty()) {
    out.clear();
    return;
  }
  if (auto text = reader.scalar(node, path)) out = std::move(*text);
}

void read_texts(const YAML::Node& node, Reader& reader, const std::string& path, std::vector<std::string>& out) {
  if (node.IsScalar() && !node.Scalar().empty()) {  // one value needs no brackets
    if (auto text = reader.scalar(node, path)) out = {std::move(*text)};
    return;
  }
  if (!node.IsSequence()) return reader.problem(node, path + ": a list is expected, like [car, bus]");
  std::vector<std::string> values;
  for (const auto& item : node)
    if (auto text = reader.scalar(item, path)) values.push_back(std::move(*text));
  out = std::move(values);
}

void read_input_size(const YAML::Node& node, Reader& reader, const std::string& path, InputSize& out) {
  const auto text = reader.scalar(node, path);
  if (!text) return;
  const auto size = parse_input_size(*text);
  if (!size)
    return reader.problem(node, path + ": " + quoted(node) +
                                    " is no input size; use auto, one side like 640, or WIDTHxHEIGHT, sides 32…4096");
  out = *size;
}

int read_choice(const YAML::Node& node, Reader& reader, const std::string& path,
                const std::vector<std::string>& names) {
  const auto text = reader.scalar(node, path);
  if (!text) return -1;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == *text) return static_cast<int>(i);
  reader.problem(node, path + ": " + quoted(node) + " is none of " + join(names) + did_you_mean(node.Scalar(), names));
  return -1;
}

}  // namespace gantry::config
