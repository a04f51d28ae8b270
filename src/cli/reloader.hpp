#pragma once
#include <mutex>
#include <string>

#include "cli/log.hpp"
#include "gantry/app/system.hpp"
#include "gantry/server/api.hpp"
#include "gantry/server/camera_state.hpp"

namespace gantry::cli {

/// Reads the configuration file of a running server again and has it taken over, or refused as a whole. Whoever asks
/// (SIGHUP, the watch of the file, the API) gets the same. Thread-safe.
class Reloader {
 public:
  /// All outlive it. @param changes_by_clients may be null
  Reloader(std::string file, app::System& system, Log& log, server::CameraState* changes_by_clients);

  /// What has changed, or every problem of the file; then nothing has.
  [[nodiscard]] Result<config::Changes> reload();
  [[nodiscard]] server::ConfigReading reading() const;

 private:
  [[nodiscard]] Result<config::Changes> take_over();
  void tell(const config::Changes& changes);

  const std::string file_;
  app::System& system_;
  Log& log_;
  server::CameraState* const changes_by_clients_;
  std::mutex turn_;  // one reload at a time
  mutable std::mutex mutex_;
  server::ConfigReading reading_;
};

}  // namespace gantry::cli
