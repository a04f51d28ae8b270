// The configuration loader on arbitrary bytes: it returns a Config or throws ConfigError, nothing else, and what it
// accepts it finds equal to itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gantry/config/loader.hpp"
#include "gantry/core/errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::config;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "SET") return "value";
    return std::nullopt;
  };
  try {
    const Config config = load_text(text, "fuzz.yaml", environment);
    if (!changes(config, config).empty()) std::abort();
  } catch (const gantry::ConfigError&) {
  }
  try {
    (void)load_camera(text, "camera", "fuzz.yaml", CameraConfig{}, environment);
  } catch (const gantry::ConfigError&) {
  }
  return 0;
}
