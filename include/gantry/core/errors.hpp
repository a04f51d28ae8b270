#pragma once
// Typed exceptions for failures at start-up: config, model, device and media set-up. They are caught once, in `app`,
// and become the program's exit code. Per-frame failures are Results (result.hpp).
#include <stdexcept>

namespace gantry {

/// A failure the user can mend. what() names the file, key or device and what to do.
class StartupError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class ConfigError : public StartupError {
 public:
  using StartupError::StartupError;
};
class ModelError : public StartupError {
 public:
  using StartupError::StartupError;
};
class MediaError : public StartupError {
 public:
  using StartupError::StartupError;
};
class DeviceError : public StartupError {
 public:
  using StartupError::StartupError;
};

}  // namespace gantry
