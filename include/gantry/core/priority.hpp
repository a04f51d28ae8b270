#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gantry {

/// Classes in the order in which they are served; smaller is more urgent.
enum class Priority : std::uint8_t { kEmergency = 0, kUrgent = 1, kNormal = 2, kBackground = 3 };
inline constexpr int kPriorityCount = 4;
inline constexpr std::array<Priority, kPriorityCount> kAllPriorities{Priority::kEmergency, Priority::kUrgent,
                                                                     Priority::kNormal, Priority::kBackground};

/// "emergency", "urgent", "normal", "background".
[[nodiscard]] const char* to_string(Priority priority) noexcept;
[[nodiscard]] std::optional<Priority> parse_priority(std::string_view text) noexcept;

}  // namespace gantry
