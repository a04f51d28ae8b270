#include "gantry/core/image.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/core/result.hpp"

namespace gantry {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kEndOfStream:
      return "end_of_stream";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kNetwork:
      return "network";
    case ErrorCode::kUnauthorized:
      return "unauthorized";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kDevice:
      return "device";
  }
  return "unknown";
}

const char* to_string(PixelFormat format) noexcept {
  switch (format) {
    case PixelFormat::kNv12:
      return "nv12";
    case PixelFormat::kI420:
      return "i420";
    case PixelFormat::kBgr24:
      return "bgr24";
    case PixelFormat::kRgb24:
      return "rgb24";
  }
  return "unknown";
}

const char* to_string(Priority priority) noexcept {
  switch (priority) {
    case Priority::kEmergency:
      return "emergency";
    case Priority::kUrgent:
      return "urgent";
    case Priority::kNormal:
      return "normal";
    case Priority::kBackground:
      return "background";
  }
  return "unknown";
}

std::optional<Priority> parse_priority(std::string_view text) noexcept {
  for (const Priority priority : kAllPriorities)
    if (text == to_string(priority)) return priority;
  return std::nullopt;
}

const char* to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::kPublished:
      return "published";
    case Outcome::kPublishedLate:
      return "published_late";
    case Outcome::kRateLimited:
      return "rate_limited";
    case Outcome::kDecodeSkipped:
      return "decode_skipped";
    case Outcome::kSuperseded:
      return "superseded";
    case Outcome::kExpired:
      return "expired";
    case Outcome::kPredictedLate:
      return "predicted_late";
    case Outcome::kShed:
      return "shed";
    case Outcome::kDecodeError:
      return "decode_error";
    case Outcome::kEngineError:
      return "engine_error";
    case Outcome::kCameraRemoved:
      return "camera_removed";
    case Outcome::kShutdown:
      return "shutdown";
  }
  return "unknown";
}

}  // namespace gantry
