#pragma once
// From what a user writes (a path, a folder, a URL) to a Source. Owned by whoever calls; the registry of schemes is the
// process's and thread-safe.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gantry/media/source.hpp"
#include "gantry/media/source_gate.hpp"

namespace gantry::media {

/// How fast packets of a file come out of it.
enum class Pacing {
  kFast,  ///< as fast as they are asked for
  kLive,  ///< when their own time stamps say, like a camera
};
enum class Transport { kTcp, kUdp };

struct SourceConfig {
  std::string url;                                      ///< a file, a picture, a folder of pictures, or scheme://…
  bool loop = false;                                    ///< files and folders start again at their end
  Pacing pacing = Pacing::kFast;                        ///< files and folders only
  Transport transport = Transport::kTcp;                ///< RTSP only
  Duration connect_timeout = std::chrono::seconds(10);  ///< hard; from the first byte to a stream whose codec is known
  Duration read_timeout =
      std::chrono::seconds(10);                    ///< hard; without a packet for this long the connection is given up
  Duration stall_after = std::chrono::seconds(2);  ///< without a packet for this long `on_stall` is called
  std::shared_ptr<const SourceGate> gate;          ///< null: the URL is trusted
  /// Called inside next(), on its thread, once each time packets stay away for `stall_after`. Live sources only.
  std::function<void()> on_stall;
};

/// Never blocks and opens nothing: faults of the input come from open() and next().
/// @throws MediaError for a scheme that nobody knows; the message lists those that are known.
[[nodiscard]] std::unique_ptr<Source> make_source(const SourceConfig& config);

using SourceMaker = std::function<std::unique_ptr<Source>(const SourceConfig&)>;
/// Lets another room (a simulator, a test) answer for `scheme` ("scene" for scene://…). The newest registration wins.
void register_scheme(std::string_view scheme, SourceMaker maker);

/// True where the url names a still picture or a folder of them by its ending or on disk.
[[nodiscard]] bool is_picture_path(const std::string& url);

}  // namespace gantry::media
