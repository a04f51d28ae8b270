#pragma once
// What clients of the API have changed about the cameras: a file of its own, laid over the configuration file at every
// start and reload, so that nobody's YAML is rewritten. JSON, mode 0600 (sources may hold passwords), replaced
// atomically. Thread-safe.
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "gantry/config/config.hpp"
#include "gantry/core/result.hpp"

namespace gantry::server {

class CameraState {
 public:
  /// Reads `file`, or begins empty where there is none; clears away what writers that were killed have left beside it.
  /// @throws ConfigError naming the file
  explicit CameraState(std::filesystem::path file);
  ~CameraState();
  CameraState(const CameraState&) = delete;
  CameraState& operator=(const CameraState&) = delete;

  /// The configuration file's content with the changes on top. @throws ConfigError naming file, camera and key
  [[nodiscard]] config::Config over(config::Config file) const;

  /// To be held by whoever changes the cameras of a running server, from before it looks to after it is done, so that
  /// changes of clients and reloads of the file come one after another.
  [[nodiscard]] std::unique_lock<std::mutex> turn() const;

  /// Each is on disk when it returns; where that fails nothing has changed.
  /// @param body the camera's keys as a JSON object, already validated
  [[nodiscard]] Result<void> put(const std::string& id, std::string_view body);
  [[nodiscard]] Result<void> patch(const std::string& id, std::string_view body);
  [[nodiscard]] Result<void> remove(const std::string& id);

  /// A camera from a client's JSON on top of `base`; a body without a source keeps the base's. Variables of the
  /// environment are not for clients. @throws ConfigError
  [[nodiscard]] static config::CameraConfig load(std::string_view body, const std::string& id,
                                                 const config::CameraConfig& base, const std::string& origin);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::server
