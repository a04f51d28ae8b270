#pragma once
// What the demo's detector said against what really stood at the junction.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gantry::cli {

struct DemoCamera {
  std::string id;
  std::filesystem::path truth;
};

/// Scores `results` (JSON lines of all cameras) against each camera's truth. {"cameras":[{"id","frames","precision",
/// "recall","map50"}…],"classes":[{"class","objects","found","recall"}…],"precision","recall","map50","first_ms"}.
/// @throws StartupError naming the file and line that can't be read
[[nodiscard]] nlohmann::json score_demo(const std::filesystem::path& results, const std::vector<DemoCamera>& cameras);
/// The same as tables.
[[nodiscard]] std::string demo_score_text(const nlohmann::json& score);

}  // namespace gantry::cli
