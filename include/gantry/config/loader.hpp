#pragma once
// From YAML to Config. Everything wrong is reported at once, one line a problem, each "FILE:LINE: key: what is wrong
// and what to do". Values that came out of ${NAME} are never repeated in a message.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/config/config.hpp"

namespace gantry::config {

/// Where ${NAME} comes from; nothing where the variable is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] Environment process_environment();

/// @throws ConfigError with every problem found
[[nodiscard]] Config load_file(const std::string& path, const Environment& environment = process_environment());

/// `origin` stands for the file's name in messages. @throws ConfigError
[[nodiscard]] Config load_text(std::string_view yaml, const std::string& origin,
                               const Environment& environment = process_environment());

/// The body of one camera (YAML, or JSON, which is YAML), on top of `base`. @throws ConfigError
[[nodiscard]] CameraConfig load_camera(std::string_view yaml, const std::string& id, const std::string& origin,
                                       const CameraConfig& base,
                                       const Environment& environment = process_environment());

/// Letters, digits, '_', '-' and '.', 1…64 of them, the first a letter or digit: safe as a file name, label and topic.
[[nodiscard]] bool is_camera_id(std::string_view id) noexcept;

/// When a changed key takes effect in a server that runs.
enum class Applies {
  kAtOnce,      ///< with the next frame
  kReconnects,  ///< the camera's stream is opened anew
  kAtStart,     ///< only when the server starts
};

/// What has to happen to bring a server that runs `before` to `after`.
struct Changes {
  std::vector<std::string> added;        ///< camera ids
  std::vector<std::string> removed;      ///< camera ids
  std::vector<std::string> adjusted;     ///< cameras whose changed keys all apply at once
  std::vector<std::string> reconnected;  ///< cameras of which a changed key needs a new connection
  std::vector<std::string> at_once;      ///< keys outside cameras that apply at once, "log.level"
  std::vector<std::string> at_start;     ///< keys that wait for the next start, "model.path"
  [[nodiscard]] bool empty() const noexcept;
};
/// Cameras that are not enabled count as absent.
[[nodiscard]] Changes changes(const Config& before, const Config& after);

}  // namespace gantry::config
