#include "scheduler/sim/yaml_section.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gantry/core/errors.hpp"

namespace gantry::scheduler::sim {

namespace {

std::string shown(const YAML::Node& node) {
  if (node.IsScalar()) return "'" + node.Scalar() + "'";
  if (node.IsSequence()) return fmt::format("a list of {}", node.size());
  return node.IsMap() ? "a mapping" : "nothing";
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

YamlSection::YamlSection(std::string file, std::string where, YAML::Node node)
    : file_(std::move(file)), where_(std::move(where)), node_(std::move(node)) {
  if (!node_.IsMap()) complain_at(node_, "", shown(node_) + " is not a mapping of keys to values");
}

std::string YamlSection::full_key(const std::string& key) const {
  if (where_.empty() || key.empty()) return where_ + key;
  return where_ + "." + key;
}

void YamlSection::complain_at(const YAML::Node& node, const std::string& key, const std::string& what) const {
  const int line = std::max(0, node.IsDefined() ? node.Mark().line : node_.Mark().line);  // -1 in an empty file
  const std::string name = full_key(key);
  throw ConfigError(fmt::format("{}:{}: {}{}{}", file_, line + 1, name, name.empty() ? "" : ": ", what));
}

void YamlSection::complain(const std::string& key, const std::string& what) const {
  complain_at(std::as_const(node_)[key], key, what);
}

YAML::Node YamlSection::look_up(const std::string& key) {
  asked_.push_back(key);
  return std::as_const(node_)[key];
}

YAML::Node YamlSection::require(const std::string& key) {
  YAML::Node node = look_up(key);
  if (!node.IsDefined()) complain_at(node_, key, "is missing; add it");
  return node;
}

bool YamlSection::has(const std::string& key) const {
  return std::as_const(node_)[key].IsDefined();
}

double YamlSection::to_number(const YAML::Node& node, const std::string& key, Range range) const {
  double value = 0;
  const std::string allowed = fmt::format("allowed: a number from {:g} to {:g}", range.low, range.high);
  if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || !std::isfinite(value)) {
    complain_at(node, key, fmt::format("{} is not a number; {}", shown(node), allowed));
  }
  if (value < range.low || value > range.high) {
    complain_at(node, key, fmt::format("{:g} is out of range; {}", value, allowed));
  }
  return value;
}

double YamlSection::number(const std::string& key, Range range, double otherwise) {
  const YAML::Node node = look_up(key);
  return node.IsDefined() ? to_number(node, key, range) : otherwise;
}

double YamlSection::number(const std::string& key, Range range) {
  return to_number(require(key), key, range);
}

int YamlSection::integer(const std::string& key, Range range, int otherwise) {
  const YAML::Node node = look_up(key);
  if (!node.IsDefined()) return otherwise;
  const double value = to_number(node, key, range);
  if (value != std::floor(value)) {
    complain_at(node, key,
                fmt::format("{:g} is not a whole number; allowed: {:g} to {:g}", value, range.low, range.high));
  }
  return static_cast<int>(value);
}

std::string YamlSection::text(const std::string& key) {
  const YAML::Node node = require(key);
  if (!node.IsScalar() || node.Scalar().empty()) complain_at(node, key, shown(node) + " is not a text");
  return node.Scalar();
}

std::string YamlSection::text(const std::string& key, std::string otherwise) {
  return has(key) ? text(key) : (asked_.push_back(key), std::move(otherwise));
}

int YamlSection::choice(const std::string& key, const std::vector<std::string>& names, int otherwise) {
  const YAML::Node node = look_up(key);
  if (!node.IsDefined()) return otherwise;
  const auto found = node.IsScalar() ? std::find(names.begin(), names.end(), node.Scalar()) : names.end();
  if (found == names.end()) {
    complain_at(node, key, fmt::format("{} is unknown; allowed: {}", shown(node), joined(names)));
  }
  return static_cast<int>(found - names.begin());
}

std::pair<double, double> YamlSection::span(const std::string& key, Range range, double otherwise) {
  const YAML::Node node = look_up(key);
  if (!node.IsDefined()) return {otherwise, otherwise};
  if (!node.IsSequence()) {
    const double value = to_number(node, key, range);
    return {value, value};
  }
  if (node.size() != 2) complain_at(node, key, shown(node) + "; allowed: one number or [low, high]");
  const double low = to_number(node[0], key + "[0]", range);
  const double high = to_number(node[1], key + "[1]", range);
  if (low > high) complain_at(node, key, fmt::format("[{:g}, {:g}] is upside down; write [low, high]", low, high));
  return {low, high};
}

std::vector<std::pair<double, double>> YamlSection::curve(const std::string& key, Range x, Range y) {
  const YAML::Node node = look_up(key);
  std::vector<std::pair<double, double>> points;
  if (!node.IsDefined()) return points;
  if (!node.IsSequence() || node.size() == 0) complain_at(node, key, shown(node) + "; allowed: [[x, y], …]");
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", key, i);
    if (!node[i].IsSequence() || node[i].size() != 2) {
      complain_at(node[i], name, shown(node[i]) + "; allowed: a pair [x, y]");
    }
    points.emplace_back(to_number(node[i][0], name + "[0]", x), to_number(node[i][1], name + "[1]", y));
    if (i > 0 && points[i].first <= points[i - 1].first) {
      complain_at(node[i], name,
                  fmt::format("{:g} does not rise above {:g} before it", points[i].first, points[i - 1].first));
    }
  }
  return points;
}

YamlSection YamlSection::section(const std::string& key) {
  return {file_, full_key(key), require(key)};
}

std::vector<YamlSection> YamlSection::list(const std::string& key, bool required) {
  const YAML::Node node = required ? require(key) : look_up(key);
  std::vector<YamlSection> sections;
  if (!node.IsDefined()) return sections;
  if (!node.IsSequence() || node.size() == 0) {
    complain_at(node, key, shown(node) + "; allowed: a list of at least one mapping");
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    sections.emplace_back(file_, fmt::format("{}[{}]", full_key(key), i), node[i]);
  }
  return sections;
}

std::vector<std::pair<std::string, double>> YamlSection::numbers(const std::string& key, Range range) {
  const YAML::Node node = require(key);
  if (!node.IsMap() || node.size() == 0)
    complain_at(node, key, shown(node) + "; allowed: a mapping of names to numbers");
  std::vector<std::pair<std::string, double>> values;
  for (const auto& entry : node) {
    const std::string name = entry.first.Scalar();
    values.emplace_back(name, to_number(entry.second, key + "." + name, range));
  }
  return values;
}

YAML::Node YamlSection::node(const std::string& key) {
  return require(key);
}

void YamlSection::finish() const {
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
    std::vector<std::string> known = asked_;
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    complain_at(entry.first, key, "is not a known key here; allowed: " + joined(known));
  }
}

}  // namespace gantry::scheduler::sim
