#pragma once
// Addresses of cameras, fit to be printed.
#include <string>
#include <string_view>

namespace gantry::media {

/// The URL with its password replaced by ***, and likewise the values of query keys that name a secret (password,
/// token, key, signature, …). Whatever is no URL comes back unchanged. Errs on the side of hiding.
[[nodiscard]] std::string redact_url(std::string_view url);

/// "rtsp" of "RTSP://…", lower-cased; empty where there is no scheme.
[[nodiscard]] std::string url_scheme(std::string_view url);

}  // namespace gantry::media
