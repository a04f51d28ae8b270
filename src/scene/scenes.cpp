// The list of scenes.
#include "gantry/core/errors.hpp"
#include "gantry/scene/options.hpp"
#include "scene/junction.hpp"
#include "scene/layout.hpp"
#include "scene/motorway.hpp"
#include "scene/network.hpp"
#include "scene/suburb.hpp"

namespace gantry::scene {
namespace {

struct SceneEntry {
  const char* name;
  Network (*network)();
  Layout (*layout)();
};
constexpr SceneEntry kScenes[] = {{"junction", junction::network, junction::layout},
                                  {"motorway", motorway::network, motorway::layout},
                                  {"suburb", suburb::network, suburb::layout}};

const SceneEntry& find(std::string_view scene) {
  for (const SceneEntry& entry : kScenes) {
    if (scene == entry.name) return entry;
  }
  std::string message = "There is no scene \"" + std::string(scene) + "\"; the scenes are";
  for (const SceneEntry& entry : kScenes) message += std::string(" ") + entry.name;
  throw MediaError(message + ".");
}

}  // namespace

const std::vector<std::string>& scene_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const SceneEntry& entry : kScenes) list.emplace_back(entry.name);
    return list;
  }();
  return names;
}

const std::vector<std::string>& camera_names(std::string_view scene) {
  static const std::vector<std::vector<std::string>> names = [] {
    std::vector<std::vector<std::string>> lists;
    for (const SceneEntry& entry : kScenes) {
      std::vector<std::string> list;
      for (const CameraMount& mount : entry.layout().cameras) list.push_back(mount.name);
      lists.push_back(std::move(list));
    }
    return lists;
  }();
  return names[static_cast<std::size_t>(&find(scene) - kScenes)];
}

Network make_network(const std::string& scene) {
  return find(scene).network();
}

Layout make_layout(const std::string& scene) {
  return find(scene).layout();
}

}  // namespace gantry::scene
