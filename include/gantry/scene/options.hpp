#pragma once
// What a simulated scene is asked for, and its spelling as a source:
//   scene://junction?seed=7&camera=2&density=0.6&hour=18&weather=rain&fps=15&size=1280x720&for=30s
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/clock.hpp"

namespace gantry::scene {

enum class Weather : std::uint8_t { kClear, kOvercast, kRain, kFog };
[[nodiscard]] const char* to_string(Weather weather) noexcept;

/// Something out of the ordinary that the scene is asked to play.
enum class Incident : std::uint8_t { kRedLight, kWrongWay, kSpeeding, kStopped, kQueue };
[[nodiscard]] const char* to_string(Incident incident) noexcept;

struct IncidentRequest {
  Incident kind = Incident::kRedLight;
  double at_s = 5;  ///< earliest moment, seconds from the start; it plays as soon as traffic allows
};

/// The traffic: everything that decides what happens, nothing that decides how it is seen.
struct WorldOptions {
  std::string scene = "junction";  ///< one of scene_names()
  std::uint64_t seed = 1;
  double density = 0.6;  ///< share of what the roads carry in their peak hour, 0…1.5
  double hour = 12;      ///< time of day, 0…24; sets demand, light and the mix of vehicles
  /// 0: the vehicles of the scene's own country and hour; 1: lorries, buses, two-wheelers and people about as often as
  /// cars, which is no traffic but good to learn from. In between: a blend.
  double variety = 0;
  std::vector<IncidentRequest> incidents;
  friend bool operator==(const WorldOptions&, const WorldOptions&);
};

/// One camera's look at it.
struct ViewOptions {
  int camera = 0;  ///< index into camera_names(scene); -1 draws one from `camera_seed`
  std::uint64_t camera_seed = 1;
  int width = 1280;  ///< 64…3840, even
  int height = 720;  ///< 64…2160, even
  double fps = 15;   ///< 0.1…120
  Weather weather = Weather::kClear;
};

struct SceneOptions {
  WorldOptions world;
  ViewOptions view;
  Duration length{};        ///< 0: endless
  bool live = false;        ///< paced by the clock; cameras of one scene then share one world
  std::string truth_path;   ///< JSONL of what was in each frame; empty: none
  std::string camera_name;  ///< `camera` in the truth; empty: "SCENE-CAMERA"
};

/// Parses a scene:// address. Throws MediaError that names the key, the value and what is allowed.
[[nodiscard]] SceneOptions parse_scene_uri(std::string_view uri);

[[nodiscard]] const std::vector<std::string>& scene_names();
/// Throws MediaError for an unknown scene.
[[nodiscard]] const std::vector<std::string>& camera_names(std::string_view scene);

}  // namespace gantry::scene
