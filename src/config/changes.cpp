// What separates two configurations, read off the key table.
#include "config/table.hpp"
#include "gantry/config/loader.hpp"

namespace gantry::config {
namespace {

// The table's accessors take a mutable object because the loader writes through them; nothing is written here.
void* readable(const void* object) {
  return const_cast<void*>(object);
}  // NOLINT(cppcoreguidelines-pro-type-const-cast)

void compare(const Section& section, const void* before, const void* after, const std::string& path, Changes& out) {
  for (const auto& key : section.keys) {
    const auto key_path = path.empty() ? key.name : path + "." + key.name;
    if (key.is.is_map()) continue;
    if (key.is.section != nullptr)
      compare(*key.is.section, key.is.member(readable(before)), key.is.member(readable(after)), key_path, out);
    else if (key.is.show(before) != key.is.show(after))
      (key.applies == Applies::kAtStart ? out.at_start : out.at_once).push_back(key_path);
  }
}

bool needs_connection(const CameraConfig& before, const CameraConfig& after) {
  for (const auto& key : camera_section().keys)
    if (key.applies == Applies::kReconnects && key.is.show(&before) != key.is.show(&after)) return true;
  return false;
}

const CameraConfig* enabled(const Config& config, const std::string& id) {
  const auto found = config.cameras.find(id);
  return found != config.cameras.end() && found->second.enabled ? &found->second : nullptr;
}

}  // namespace

bool Changes::empty() const noexcept {
  return added.empty() && removed.empty() && adjusted.empty() && reconnected.empty() && at_once.empty() &&
         at_start.empty();
}

Changes changes(const Config& before, const Config& after) {
  Changes out;
  for (const auto& [id, camera] : before.cameras)
    if (camera.enabled && enabled(after, id) == nullptr) out.removed.push_back(id);
  for (const auto& [id, camera] : after.cameras) {
    if (!camera.enabled) continue;
    const CameraConfig* old = enabled(before, id);
    if (old == nullptr)
      out.added.push_back(id);
    else if (*old != camera)
      (needs_connection(*old, camera) ? out.reconnected : out.adjusted).push_back(id);
  }
  for (const auto& key : root_section().keys) {
    // Cameras already carry their defaults.
    if (key.is.is_map() || key.name == "defaults") continue;
    compare(*key.is.section, key.is.member(readable(&before)), key.is.member(readable(&after)), key.name, out);
  }
  return out;
}

}  // namespace gantry::config
