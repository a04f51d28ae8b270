#include "gantry/scene/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "gantry/core/errors.hpp"

namespace gantry::scene {
namespace {

constexpr std::array<const char*, 4> kWeathers{"clear", "overcast", "rain", "fog"};
constexpr std::array<const char*, 5> kIncidents{"red_light", "wrong_way", "speeding", "stopped", "queue"};
constexpr const char* kKeys =
    "seed, camera, camera_seed, density, hour, weather, incidents, size, fps, for, pace, truth, name";

[[noreturn]] void refuse(std::string_view uri, std::string_view key, std::string_view value,
                         const std::string& wanted) {
  throw MediaError(std::string(uri) + ": " + std::string(key) + "=" + std::string(value) + " can't be used; " + wanted);
}

double number(std::string_view uri, std::string_view key, std::string_view value, double low, double high) {
  double v = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), v);
  if (error != std::errc{} || end != value.data() + value.size() || !(v >= low && v <= high)) {
    const auto plain = [](double x) {
      std::string text = std::to_string(x);
      text.erase(text.find_last_not_of('0') + 1);
      if (text.back() == '.') text.pop_back();
      return text;
    };
    refuse(uri, key, value, "a number from " + plain(low) + " to " + plain(high) + " is wanted");
  }
  return v;
}

template <std::size_t N>
std::string listed(const std::array<const char*, N>& names) {
  std::string text = "one of";
  for (const char* name : names) text += std::string(name == names.front() ? " " : ", ") + name;
  return text + " is wanted";
}

template <typename Enum, std::size_t N>
Enum named(std::string_view uri, std::string_view key, std::string_view value,
           const std::array<const char*, N>& names) {
  const auto it = std::find(names.begin(), names.end(), value);
  if (it == names.end()) refuse(uri, key, value, listed(names));
  return static_cast<Enum>(it - names.begin());
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

const char* to_string(Weather weather) noexcept {
  return kWeathers[static_cast<std::size_t>(weather)];
}

const char* to_string(Incident incident) noexcept {
  return kIncidents[static_cast<std::size_t>(incident)];
}

bool operator==(const WorldOptions& a, const WorldOptions& b) {
  const auto same = [](const IncidentRequest& x, const IncidentRequest& y) {
    return x.kind == y.kind && x.at_s == y.at_s;
  };
  return a.scene == b.scene && a.seed == b.seed && a.density == b.density && a.hour == b.hour &&
         a.variety == b.variety &&
         std::equal(a.incidents.begin(), a.incidents.end(), b.incidents.begin(), b.incidents.end(), same);
}

SceneOptions parse_scene_uri(std::string_view uri) {
  constexpr std::string_view kScheme = "scene://";
  if (!uri.starts_with(kScheme))
    throw MediaError(std::string(uri) + ": a simulated scene is written scene://SCENE?key=value&…");
  std::string_view rest = uri.substr(kScheme.size());
  const std::size_t question = rest.find('?');
  SceneOptions options;
  options.world.scene = std::string(rest.substr(0, question));
  if (!options.world.scene.empty() && options.world.scene.back() == '/') options.world.scene.pop_back();
  const std::vector<std::string>& cameras = camera_names(options.world.scene);
  rest = question == std::string_view::npos ? std::string_view{} : rest.substr(question + 1);
  std::string pace;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view key = pair.substr(0, equals);
    const std::string text = decoded(pair.substr(std::min(equals + 1, pair.size())));
    const std::string_view value = text;
    if (key == "seed") {
      options.world.seed = static_cast<std::uint64_t>(number(uri, key, value, 0, 9e15));
    } else if (key == "camera") {
      const auto it = std::find(cameras.begin(), cameras.end(), value);
      if (it != cameras.end()) {
        options.view.camera = static_cast<int>(it - cameras.begin());
      } else if (value == "random") {
        options.view.camera = -1;
      } else {
        options.view.camera = static_cast<int>(number(uri, key, value, 0, static_cast<double>(cameras.size()) - 1));
      }
    } else if (key == "camera_seed") {
      options.view.camera_seed = static_cast<std::uint64_t>(number(uri, key, value, 0, 9e15));
    } else if (key == "density") {
      options.world.density = number(uri, key, value, 0, 1.5);
    } else if (key == "hour") {
      options.world.hour = number(uri, key, value, 0, 24);
    } else if (key == "weather") {
      options.view.weather = named<Weather>(uri, key, value, kWeathers);
    } else if (key == "incidents") {
      // red_light@10,stopped@30
      std::string_view list = value;
      while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view item = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        const std::size_t at = std::min(item.find('@'), item.size());
        IncidentRequest request;
        request.kind = named<Incident>(uri, key, item.substr(0, at), kIncidents);
        if (at < item.size()) request.at_s = number(uri, key, item.substr(at + 1), 0, 86400);
        options.world.incidents.push_back(request);
      }
    } else if (key == "size") {
      const std::size_t x = std::min(value.find('x'), value.size());
      options.view.width = static_cast<int>(number(uri, key, value.substr(0, x), 64, 3840));
      options.view.height = static_cast<int>(number(uri, key, value.substr(std::min(x + 1, value.size())), 64, 2160));
      if (options.view.width % 2 != 0 || options.view.height % 2 != 0)
        refuse(uri, key, value, "both sides must be even");
    } else if (key == "fps") {
      options.view.fps = number(uri, key, value, 0.1, 120);
    } else if (key == "for") {
      std::string_view seconds = value;
      if (!seconds.empty() && seconds.back() == 's') seconds.remove_suffix(1);
      options.length =
          std::chrono::milliseconds(static_cast<std::int64_t>(number(uri, key, seconds, 0.001, 1e6) * 1000));
    } else if (key == "pace") {
      if (value != "live" && value != "fast") refuse(uri, key, value, "live or fast is wanted");
      pace = text;
    } else if (key == "truth") {
      options.truth_path = text;
    } else if (key == "name") {
      options.camera_name = text;
    } else {
      throw MediaError(std::string(uri) + ": the key \"" + std::string(key) + "\" is not known; known are " + kKeys);
    }
  }
  options.live = pace.empty() ? options.length == Duration{} : pace == "live";
  return options;
}

}  // namespace gantry::scene
