#pragma once
#include <string>
#include <vector>

namespace gantry::app {

/// Class names or numbers as the user gives them, to class ids of a model; sorted, without repeats.
/// @throws ConfigError "WHERE: the model has no class 'NAME'…" with the nearest name, or with the model's classes
[[nodiscard]] std::vector<int> class_ids(const std::vector<std::string>& wanted,
                                         const std::vector<std::string>& class_names, const std::string& where);

}  // namespace gantry::app
