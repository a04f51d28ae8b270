#pragma once
// Who is let in. A token is "gantry_" + 8 hex digits of id + "_" + 64 hex digits (256 random bits). Only the SHA-256 of
// the secret is stored, in a file of mode 0600 that is replaced atomically; secrets are compared in constant time. A
// page exchanges its token for a session: a random cookie that lives in memory only and ends with its token.
// Thread-safe.
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/result.hpp"
#include "gantry/server/principal.hpp"

namespace gantry::server {

struct TokenInfo {
  std::string id;    ///< public; names the token in logs and lists
  std::string name;  ///< the user's word for it, 1…64 characters
  Role role = Role::kViewer;
  WallTime created{};
  WallTime expires = WallTime::max();
};

class TokenStore {
 public:
  /// Reads `file`, or begins empty where there is none. @throws ConfigError naming file and entry.
  explicit TokenStore(std::filesystem::path file);

  /// @return the token itself, which is shown once and never stored.
  [[nodiscard]] Result<std::string> create(const std::string& name, Role role,
                                           std::optional<std::chrono::seconds> lifetime);
  /// Sessions of the token end too. kNotFound where there is none of that id.
  [[nodiscard]] Result<void> revoke(const std::string& id);
  [[nodiscard]] std::vector<TokenInfo> list() const;
  [[nodiscard]] bool empty() const;
  /// Reads the file again where another process has changed it.
  void refresh();

  enum class Refusal { kNone, kUnknown, kExpired };
  struct Answer {
    std::optional<Principal> principal;
    Refusal refusal = Refusal::kNone;
  };
  [[nodiscard]] Answer authenticate(std::string_view token) const;
  /// Whether that principal may still look on; for streams.
  [[nodiscard]] bool valid(const Principal& principal) const;

  struct Session {
    std::string cookie;  ///< 64 hex digits
    std::string csrf;    ///< 64 hex digits
  };
  /// @pre principal came from authenticate()
  [[nodiscard]] Session open_session(const Principal& principal);
  void close_session(std::string_view cookie);
  [[nodiscard]] std::optional<Principal> session(std::string_view cookie) const;

 private:
  struct Entry {
    TokenInfo info;
    std::string sha256;  ///< hex
  };
  struct Open {
    Principal principal;
    WallTime until;
  };
  void load();
  [[nodiscard]] Result<void> store() const;

  std::filesystem::path file_;
  std::filesystem::file_time_type read_at_{};
  mutable std::mutex mutex_;
  std::map<std::string, Entry> tokens_;           ///< by id
  mutable std::map<std::string, Open> sessions_;  ///< by SHA-256 of the cookie
};

}  // namespace gantry::server
