#include "cli/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace gantry::cli {
namespace {

spdlog::level::level_enum level_of(app::Severity severity) {
  switch (severity) {
    case app::Severity::kDebug:
      return spdlog::level::debug;
    case app::Severity::kInfo:
      return spdlog::level::info;
    case app::Severity::kWarning:
      return spdlog::level::warn;
    case app::Severity::kError:
      break;
  }
  return spdlog::level::err;
}

spdlog::level::level_enum level_of(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug:
      return spdlog::level::debug;
    case config::LogLevel::kInfo:
      return spdlog::level::info;
    case config::LogLevel::kWarning:
      return spdlog::level::warn;
    case config::LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

class Log::Impl {
 public:
  Impl() : logger("gantry", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    logger.flush_on(spdlog::level::debug);
  }
  spdlog::logger logger;
};

Log::Log(config::LogLevel level) : impl_(std::make_unique<Impl>()) {
  set_level(level);
}
Log::~Log() = default;
void Log::set_level(config::LogLevel level) {
  impl_->logger.set_level(level_of(level));
}
void Log::write(app::Severity severity, std::string_view text) {
  impl_->logger.log(level_of(severity), "{}", text);  // the text is no format
}

}  // namespace gantry::cli
