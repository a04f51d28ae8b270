#pragma once
// Walks a YAML document along a Section and collects everything that is wrong with it. Used by one thread, once.
#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>
#include <vector>

#include "config/table.hpp"
#include "gantry/config/loader.hpp"

namespace gantry::config {

class Reader {
 public:
  Reader(std::string origin, const Environment& environment) : origin_(std::move(origin)), environment_(environment) {}

  /// Parses `text`; nothing, and a problem noted, where it is no YAML.
  [[nodiscard]] std::optional<YAML::Node> parse(std::string_view text);

  /// Reads every key of `section` that `node` has into `object`, in the table's order. `path` is "" at the top.
  void read_section(const Section& section, void* object, const YAML::Node& node, const std::string& path);

  /// The scalar at `node` with ${NAME} replaced; nothing, and a problem noted, where it is none or empty.
  [[nodiscard]] std::optional<std::string> scalar(const YAML::Node& node, const std::string& path);

  void problem(const YAML::Node& at, const std::string& text);

  /// @throws ConfigError with every problem in the order of lines, if there are any
  void throw_problems() const;

 private:
  struct Problem {
    int line;  ///< from 1; 0 where it has none
    std::string text;
  };
  [[nodiscard]] std::optional<std::string> expand(const YAML::Node& node, const std::string& path);
  void check_names(const Section& section, const YAML::Node& node, const std::string& path);
  void read_map(const Key& key, void* object, const YAML::Node& node, const std::string& path);

  std::string origin_;
  const Environment& environment_;
  std::vector<Problem> problems_;
};

}  // namespace gantry::config
