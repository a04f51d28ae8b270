#include "gantry/server/camera_state.hpp"

#include <fstream>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "gantry/config/loader.hpp"
#include "gantry/core/errors.hpp"
#include "server/atomic_file.hpp"

namespace gantry::server {
namespace {

using nlohmann::json;

std::optional<std::string> no_environment(const std::string&) {
  return std::nullopt;
}

/// So that a source of which ${NAME} is already replaced is not expanded once more.
std::string escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) text.insert(at, 1, '$');
  return text;
}

bool well_formed(const json& entry) {
  if (entry.is_null()) return true;
  if (!entry.is_object() || entry.size() != 1) return false;
  const auto kind = entry.begin().key();
  return (kind == "put" || kind == "patch") && entry.begin().value().is_object();
}

}  // namespace

class CameraState::Impl {
 public:
  explicit Impl(std::filesystem::path file) : file_(std::move(file)) {
    remove_leftovers(file_);
    std::ifstream stream{file_, std::ios::binary};
    if (!stream) {
      if (std::filesystem::exists(file_)) throw ConfigError(file_.string() + ": can't be read (server.state_file)");
      return;
    }
    const std::string text{std::istreambuf_iterator<char>{stream}, {}};
    const json root = json::parse(text, nullptr, false);
    const bool usable = root.is_object() && root.value("version", json{}) == json(1) && root.contains("cameras") &&
                        root["cameras"].is_object();
    if (!usable) throw ConfigError(file_.string() + ": is no state file of Gantry's; move it away (server.state_file)");
    for (const auto& [id, entry] : root["cameras"].items()) {
      if (!config::is_camera_id(id) || !well_formed(entry))
        throw ConfigError(file_.string() + ": cameras." + id.substr(0, 80) + " can't be understood; take it out");
      entries_[id] = entry;
    }
  }

  config::Config over(config::Config config) const {
    const std::lock_guard lock{mutex_};
    in_file_.clear();
    for (const auto& [id, camera] : config.cameras) in_file_.insert(id);
    for (const auto& [id, entry] : entries_) {
      if (entry.is_null()) {
        config.cameras.erase(id);
        continue;
      }
      const auto& body = entry.begin().value();
      const bool patch = entry.begin().key() == "patch";
      const auto in_file = config.cameras.find(id);
      if (patch && in_file == config.cameras.end()) continue;  // the file has dropped it since
      auto camera = load(body.dump(), id, patch ? in_file->second : config.defaults, file_.string());
      // A client that has sent back what it was shown has given no source of its own.
      if (in_file != config.cameras.end() && in_file->second.source == camera.source) camera.from_client = false;
      config.cameras[id] = std::move(camera);
    }
    return config;
  }

  Result<void> remove(const std::string& id) {
    const std::lock_guard lock{mutex_};
    const auto before = entries_;
    // A removal is worth remembering only where the file would bring the camera back.
    if (in_file_.contains(id))
      entries_[id] = nullptr;
    else
      entries_.erase(id);
    return keep_or(before);
  }

  std::unique_lock<std::mutex> turn() const { return std::unique_lock{turn_}; }

  Result<void> change(const std::string& id, json entry) {
    const std::lock_guard lock{mutex_};
    const auto before = entries_;
    entries_[id] = std::move(entry);
    return keep_or(before);
  }

  Result<void> patch(const std::string& id, const json& keys) {
    const std::lock_guard lock{mutex_};
    const auto before = entries_;
    json& entry = entries_[id];
    if (entry.is_null()) entry = {{"patch", json::object()}};
    entry.begin().value().update(keys);
    return keep_or(before);
  }

 private:
  Result<void> keep_or(const std::map<std::string, json>& before) {
    json cameras = json::object();
    for (const auto& [id, entry] : entries_) cameras[id] = entry;
    auto written = write_file_atomically(
        file_,
        json{{"version", 1}, {"cameras", std::move(cameras)}}.dump(2, ' ', false, json::error_handler_t::replace),
        0600);
    if (!written) entries_ = before;
    return written;
  }

  const std::filesystem::path file_;
  mutable std::mutex turn_;                // outermost
  mutable std::mutex mutex_;               // guards what follows
  std::map<std::string, json> entries_;    ///< by id; null: removed
  mutable std::set<std::string> in_file_;  ///< ids of the configuration file that was read last
};

CameraState::CameraState(std::filesystem::path file) : impl_(std::make_unique<Impl>(std::move(file))) {}
CameraState::~CameraState() = default;
config::Config CameraState::over(config::Config file) const {
  return impl_->over(std::move(file));
}
std::unique_lock<std::mutex> CameraState::turn() const {
  return impl_->turn();
}
Result<void> CameraState::put(const std::string& id, std::string_view body) {
  return impl_->change(id, {{"put", json::parse(body)}});
}
Result<void> CameraState::patch(const std::string& id, std::string_view body) {
  return impl_->patch(id, json::parse(body));
}
Result<void> CameraState::remove(const std::string& id) {
  return impl_->remove(id);
}

config::CameraConfig CameraState::load(std::string_view body, const std::string& id, const config::CameraConfig& base,
                                       const std::string& origin) {
  json keys = json::parse(body);
  const bool given = keys.contains("source");
  if (!given && !base.source.empty()) keys["source"] = escaped(base.source);
  auto camera = config::load_camera(keys.dump(), id, origin, base, no_environment);
  camera.from_client = given || base.from_client;
  return camera;
}

}  // namespace gantry::server
