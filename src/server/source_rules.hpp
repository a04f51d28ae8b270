#pragma once
// Which sources a client of the API may give to a camera. Whoever writes the configuration file may read any file and
// any address; a client must not be able to make the server fetch what only the server can reach.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::server {

/// Why `source` is refused, fit to be shown, or nothing where it may be used. Refused are everything but the network
/// schemes of cameras and scene://, and hosts that are, or resolve to, loopback, link-local, unspecified or multicast
/// addresses, in any spelling. A source under one of the prefixes in `allowed` is always taken. Resolves names: blocks.
[[nodiscard]] std::optional<std::string> refuse_source(std::string_view source,
                                                       const std::vector<std::string>& allowed);

/// Host of a URL without user information and port; "" where there is none.
[[nodiscard]] std::string host_of(std::string_view url);

}  // namespace gantry::server
