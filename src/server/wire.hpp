#pragma once
// A response's head as bytes. Handlers can't split a response: control characters in values are dropped.
#include <string>

#include "gantry/server/http.hpp"

namespace gantry::server {

struct HeadOptions {
  bool keep_alive = true;
  bool chunked = false;  ///< body comes in chunks
  bool tls = false;      ///< adds Strict-Transport-Security
};
/// Status line and header fields up to and with the empty line.
[[nodiscard]] std::string response_head(const Response& response, const HeadOptions& options);
/// A chunk of Transfer-Encoding: chunked around `data`; empty `data` ends the body.
[[nodiscard]] std::string chunk(std::string_view data);

}  // namespace gantry::server
