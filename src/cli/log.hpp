#pragma once
#include <memory>
#include <string_view>

#include "gantry/app/system.hpp"
#include "gantry/config/config.hpp"

namespace gantry::cli {

/// Lines on standard error, "TIME LEVEL text". Thread-safe.
class Log {
 public:
  explicit Log(config::LogLevel level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  void set_level(config::LogLevel level);
  void write(app::Severity severity, std::string_view text);
  void info(std::string_view text) { write(app::Severity::kInfo, text); }
  void warning(std::string_view text) { write(app::Severity::kWarning, text); }
  void error(std::string_view text) { write(app::Severity::kError, text); }

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::cli
