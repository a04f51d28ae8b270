#include "cli/duration.hpp"

#include <charconv>

namespace gantry::cli {

std::optional<Duration> parse_duration(std::string_view text) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  double seconds = 0;
  if (unit == "ms")
    seconds = value / 1000;
  else if (unit == "s" || unit.empty())
    seconds = value;
  else if (unit == "m" || unit == "min")
    seconds = value * 60;
  else if (unit == "h")
    seconds = value * 3600;
  else
    return std::nullopt;
  constexpr double kTenYears = 10 * 365.25 * 86400;
  if (!(seconds > 0 && seconds <= kTenYears)) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace gantry::cli
