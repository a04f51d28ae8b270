#include "gantry/media/source_factory.hpp"

#include <map>
#include <mutex>

#include "gantry/core/errors.hpp"
#include "gantry/media/url.hpp"
#include "media/ffmpeg_source.hpp"

namespace gantry::media {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, SourceMaker, std::less<>> makers;

  Registry() {
    for (const char* scheme : {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp"})
      makers.emplace(scheme, make_ffmpeg_source);
  }
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

void register_scheme(std::string_view scheme, SourceMaker maker) {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  known.makers.insert_or_assign(std::string(scheme), std::move(maker));
}

std::unique_ptr<Source> make_source(const SourceConfig& config) {
  SourceConfig local = config;
  std::string scheme = url_scheme(config.url);
  if (scheme == "file") {
    local.url = config.url.substr(7);
    scheme.clear();
  }
  // Refused when it is opened, with the gate's reason.
  if (config.gate && !config.gate->trusts(config.url) && (scheme.empty() || scheme == "udp" || scheme == "tcp"))
    return make_ffmpeg_source(config);
  if (scheme.empty()) return is_picture_path(local.url) ? make_picture_source(local) : make_ffmpeg_source(local);
  Registry& known = registry();
  SourceMaker maker;
  std::string names;
  {
    const std::lock_guard lock(known.mutex);
    if (const auto it = known.makers.find(scheme); it != known.makers.end()) maker = it->second;
    for (const auto& [name, unused] : known.makers) names += (names.empty() ? "" : ", ") + name;
  }
  if (!maker)
    throw MediaError(redact_url(config.url) + ": \"" + scheme + "://\" is not known; known are " + names +
                     ", and plain paths");
  return maker(local);
}

}  // namespace gantry::media
