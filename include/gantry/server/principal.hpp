#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gantry::server {

/// What a token may do; each role may do what the ones before it may.
enum class Role : std::uint8_t {
  kNone = 0,      ///< health and the log-in page
  kViewer = 1,    ///< look at pictures, numbers and events
  kOperator = 2,  ///< change cameras, boost, drain, ask for inference
  kAdmin = 3,     ///< tokens
};
/// "none", "viewer", "operator", "admin".
[[nodiscard]] const char* to_string(Role role) noexcept;
[[nodiscard]] std::optional<Role> parse_role(std::string_view text) noexcept;

using WallTime = std::chrono::system_clock::time_point;

/// Who makes a request.
struct Principal {
  std::string name;      ///< of the token, for the audit log; "" for nobody
  std::string token_id;  ///< public part of the token
  Role role = Role::kNone;
  WallTime expires = WallTime::max();  ///< streams end then
  bool by_cookie = false;              ///< came by the page's cookie: changes need the CSRF header
  std::string csrf;                    ///< expected X-CSRF-Token; only by_cookie
};

}  // namespace gantry::server
