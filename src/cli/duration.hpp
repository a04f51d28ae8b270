#pragma once
#include <optional>
#include <string_view>

#include "gantry/core/clock.hpp"

namespace gantry::cli {

/// "500ms", "30s", "5m", "2h", "1.5h" or a bare number of seconds; nothing for anything else and for what is not above
/// 0 or is longer than ten years.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text) noexcept;

}  // namespace gantry::cli
