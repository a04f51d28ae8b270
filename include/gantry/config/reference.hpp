#pragma once
// The documentation that the key table writes: docs/configuration.md and examples/gantry.yaml are these texts, and a
// test compares them.
#include <string>
#include <vector>

namespace gantry::config {

struct KeyDescription {
  std::string path;      ///< "cameras.<id>.fps"
  std::string type;      ///< "number", "one of tcp, udp", …
  std::string unit;      ///< "frames/s", or empty
  std::string range;     ///< "0…240", or empty
  std::string fallback;  ///< the default as YAML, "required" where there is none
  std::string applies;   ///< "at once", "reconnects", "at start"
  std::string sentence;
};

/// Every key, in the order of the table.
[[nodiscard]] std::vector<KeyDescription> describe_keys();
[[nodiscard]] std::string reference_markdown();
[[nodiscard]] std::string example_yaml();

}  // namespace gantry::config
