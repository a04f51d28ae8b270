#pragma once
// Lines of numbers, as YOLO's text labels have them.
#include <string_view>
#include <vector>

#include "gantry/core/result.hpp"

namespace gantry::vision {

/// The largest class number that is taken at its word.
inline constexpr unsigned kMostClasses = 100'000;

/// The numbers of a line, or false where something is no finite number.
[[nodiscard]] bool read_numbers(std::string_view line, std::vector<double>& numbers);

inline constexpr const char* kNotFractions = "coordinates must be fractions of the picture, 0 to 1";
template <typename Iterator>
[[nodiscard]] bool are_fractions(Iterator begin, Iterator end) {
  for (; begin != end; ++begin)
    if (*begin < -0.01 || *begin > 1.01) return false;
  return true;
}

/// Calls `take` with the numbers of each line that is not empty; it returns what is wrong with them, or "". The error
/// names file and line; `expected` describes a line of other things than numbers.
template <typename Take>
[[nodiscard]] Result<void> for_each_label_line(std::string_view text, std::string_view name, std::string_view expected,
                                               Take&& take) {
  std::vector<double> numbers;
  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string wrong;
    if (!read_numbers(line, numbers))
      wrong = "expected numbers: " + std::string(expected);
    else if (!numbers.empty())
      wrong = take(numbers);
    if (!wrong.empty())
      return fail(ErrorCode::kCorrupt, std::string(name) + ":" + std::to_string(line_number) + ": " + wrong);
  }
  return {};
}

}  // namespace gantry::vision
