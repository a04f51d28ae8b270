#pragma once
// The strings that Ultralytics writes into a model: Python literals.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::graph {

/// "{0: 'person', 1: "rider's bike"}". Nothing where the text isn't such a dict with keys 0, 1, 2, … in any order.
[[nodiscard]] std::optional<std::vector<std::string>> parse_names(std::string_view text);
/// "[640, 384]". Nothing where the text isn't a list of whole numbers.
[[nodiscard]] std::optional<std::vector<int>> parse_ints(std::string_view text);

}  // namespace gantry::graph
