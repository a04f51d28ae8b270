#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

const char* to_string(BatchStatus status) noexcept {
  switch (status) {
    case BatchStatus::kOk:
      return "ok";
    case BatchStatus::kError:
      return "error";
    case BatchStatus::kTimeout:
      return "timeout";
  }
  return "unknown";
}

const char* to_string(DeviceState state) noexcept {
  switch (state) {
    case DeviceState::kUp:
      return "up";
    case DeviceState::kDraining:
      return "draining";
    case DeviceState::kDown:
      return "down";
  }
  return "unknown";
}

}  // namespace gantry::scheduler
