#pragma once
// One mapping of a scenario file, read key by key. Every complaint names file, line, full key, value and what is
// allowed; finish() complains of keys that nobody asked for.
#include <yaml-cpp/yaml.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gantry::scheduler::sim {

struct Range {
  double low = 0, high = 0;
};

class YamlSection {
 public:
  /// `where` is the key path ("cameras[0]"), empty at the top. @throws ConfigError unless `node` is a mapping.
  YamlSection(std::string file, std::string where, YAML::Node node);

  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] double number(const std::string& key, Range range, double otherwise);
  [[nodiscard]] double number(const std::string& key, Range range);
  [[nodiscard]] int integer(const std::string& key, Range range, int otherwise);
  [[nodiscard]] std::string text(const std::string& key, std::string otherwise);
  [[nodiscard]] std::string text(const std::string& key);
  /// Index of the value in `names`.
  [[nodiscard]] int choice(const std::string& key, const std::vector<std::string>& names, int otherwise);
  /// One number, or [low, high] with low <= high.
  [[nodiscard]] std::pair<double, double> span(const std::string& key, Range range, double otherwise);
  /// [[x, y], …] with x rising.
  [[nodiscard]] std::vector<std::pair<double, double>> curve(const std::string& key, Range x, Range y);
  [[nodiscard]] YamlSection section(const std::string& key);
  /// The mappings of a list; at least one where `required`.
  [[nodiscard]] std::vector<YamlSection> list(const std::string& key, bool required);
  /// (key, number) of a mapping with free keys.
  [[nodiscard]] std::vector<std::pair<std::string, double>> numbers(const std::string& key, Range range);
  [[nodiscard]] YAML::Node node(const std::string& key);

  void finish() const;
  [[noreturn]] void complain(const std::string& key, const std::string& what) const;

 private:
  [[nodiscard]] YAML::Node look_up(const std::string& key);
  [[nodiscard]] YAML::Node require(const std::string& key);
  [[nodiscard]] double to_number(const YAML::Node& node, const std::string& key, Range range) const;
  [[noreturn]] void complain_at(const YAML::Node& node, const std::string& key, const std::string& what) const;
  [[nodiscard]] std::string full_key(const std::string& key) const;

  std::string file_;
  std::string where_;
  YAML::Node node_;
  std::vector<std::string> asked_;
};

}  // namespace gantry::scheduler::sim
