#pragma once
// Which URLs a source may open that a client gave. Whoever writes the configuration file may read any file and any
// address; a client must not be able to make the server fetch what only the server can reach. Immutable, thread-safe.
//
// A source with a gate is checked at every connection, not only when it is added: the gate resolves the name itself and
// hands out the address that it has checked, so that a name cannot point elsewhere a moment later; HTTP redirects are
// not followed; what a playlist refers to passes the gate like the playlist; an RTSP redirect ends the connection.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/result.hpp"

namespace gantry::media {

class SourceGate {
 public:
  /// Numeric addresses of a host's name, empty where it has none. Blocks.
  using Resolve = std::function<std::vector<std::string>(const std::string& host)>;

  /// @param allowed prefixes of URLs or paths that are trusted like the configuration file. A prefix ends at a border
  /// between parts of a URL, and nothing climbs out of it with "..".
  explicit SourceGate(std::vector<std::string> allowed);
  /// For tests. @param outside addresses that count as harmless
  SourceGate(std::vector<std::string> allowed, Resolve resolve, std::vector<std::string> outside);

  struct Passage {
    bool trusted = false;  ///< under an allowed prefix, or nothing that connects: open it as it is
    std::string url;       ///< with the address that was checked in the host's place
    std::string host;      ///< host and port as they stood, for HTTP's Host
  };
  /// kUnauthorized where the URL is refused, kNetwork where its name can't be resolved now; the message is fit to be
  /// shown. Refused are everything but the network schemes of cameras and scene://, and hosts that are, or resolve to,
  /// loopback, link-local, unspecified or multicast addresses, in any spelling.
  [[nodiscard]] Result<Passage> pass(std::string_view url) const;
  [[nodiscard]] bool trusts(std::string_view url) const;

 private:
  const std::vector<std::string> allowed_;
  const Resolve resolve_;
  const std::vector<std::string> outside_;
};

}  // namespace gantry::media
