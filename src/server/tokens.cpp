#include "gantry/server/tokens.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gantry/core/errors.hpp"
#include "server/atomic_file.hpp"

namespace gantry::server {
namespace {

constexpr std::chrono::hours kSessionLifetime{12};
constexpr std::string_view kPrefix = "gantry_";

std::string hex(const unsigned char* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(2 * count, '0');
  for (std::size_t i = 0; i < count; ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4U];
    out[2 * i + 1] = kDigits[bytes[i] & 15U];
  }
  return out;
}

std::string random_hex(std::size_t bytes) {
  std::array<unsigned char, 32> buffer{};
  GANTRY_EXPECTS(bytes <= buffer.size(), "ask for at most 32 random bytes");
  if (RAND_bytes(buffer.data(), static_cast<int>(bytes)) != 1)
    throw StartupError("the system's random number generator failed; no token can be made");
  return hex(buffer.data(), bytes);
}

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return hex(digest.data(), digest.size());
}

bool same(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::int64_t to_seconds(WallTime time) {
  return time == WallTime::max() ? 0
                                 : std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

WallTime from_seconds(std::int64_t seconds) {
  return seconds == 0 ? WallTime::max() : WallTime{std::chrono::seconds{seconds}};
}

}  // namespace

const char* to_string(Role role) noexcept {
  switch (role) {
    case Role::kNone:
      return "none";
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

std::optional<Role> parse_role(std::string_view text) noexcept {
  for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin})
    if (text == to_string(role)) return role;
  return std::nullopt;
}

TokenStore::TokenStore(std::filesystem::path file) : file_(std::move(file)) {
  load();
}

void TokenStore::load() {
  tokens_.clear();
  std::error_code none;
  read_at_ = std::filesystem::last_write_time(file_, none);
  if (none) return;
  std::ifstream in(file_);
  if (!in) throw ConfigError(file_.string() + ": can't be read; it must belong to the user that runs gantry");
  try {
    const auto document = nlohmann::json::parse(in);
    for (const auto& row : document.at("tokens")) {
      Entry entry;
      entry.info.id = row.at("id").get<std::string>();
      entry.info.name = row.at("name").get<std::string>();
      const auto role = parse_role(row.at("role").get<std::string>());
      if (!role) throw ConfigError(file_.string() + ": token " + entry.info.id + " has an unknown role");
      entry.info.role = *role;
      entry.info.created = from_seconds(row.at("created").get<std::int64_t>());
      entry.info.expires = from_seconds(row.at("expires").get<std::int64_t>());
      entry.sha256 = row.at("sha256").get<std::string>();
      tokens_.emplace(entry.info.id, std::move(entry));
    }
  } catch (const nlohmann::json::exception& error) {
    throw ConfigError(file_.string() + ": not a token file (" + error.what() +
                      "); move it away and make new tokens with `gantry token create`");
  }
}

Result<void> TokenStore::store() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& [id, entry] : tokens_)
    rows.push_back({{"id", id},
                    {"name", entry.info.name},
                    {"role", to_string(entry.info.role)},
                    {"created", to_seconds(entry.info.created)},
                    {"expires", to_seconds(entry.info.expires)},
                    {"sha256", entry.sha256}});
  return write_file_atomically(file_, nlohmann::json{{"tokens", rows}}.dump(1) + "\n", 0600);
}

Result<std::string> TokenStore::create(const std::string& name, Role role,
                                       std::optional<std::chrono::seconds> lifetime) {
  if (name.empty() || name.size() > 64) return fail(ErrorCode::kInvalid, "a token's name has 1 to 64 characters");
  if (role == Role::kNone) return fail(ErrorCode::kInvalid, "a token's role is viewer, operator or admin");
  if (lifetime && lifetime->count() <= 0) return fail(ErrorCode::kInvalid, "a token's lifetime must be more than 0 s");
  const std::lock_guard lock(mutex_);
  Entry entry;
  do entry.info.id = random_hex(4);
  while (tokens_.contains(entry.info.id));
  const std::string secret = random_hex(32);
  entry.info.name = name;
  entry.info.role = role;
  entry.info.created = std::chrono::system_clock::now();
  if (lifetime) entry.info.expires = entry.info.created + *lifetime;
  entry.sha256 = sha256_hex(secret);
  const std::string id = entry.info.id;
  tokens_.emplace(id, std::move(entry));
  if (const auto stored = store(); !stored) {
    tokens_.erase(id);
    return fail(stored.error().code, stored.error().message);
  }
  std::error_code ignored;
  read_at_ = std::filesystem::last_write_time(file_, ignored);
  return std::string(kPrefix) + id + "_" + secret;
}

Result<void> TokenStore::revoke(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(id);
  if (found == tokens_.end()) return fail(ErrorCode::kNotFound, "there is no token " + id);
  Entry kept = std::move(found->second);
  tokens_.erase(found);
  if (auto stored = store(); !stored) {
    tokens_.emplace(id, std::move(kept));
    return stored;
  }
  std::erase_if(sessions_, [&](const auto& open) { return open.second.principal.token_id == id; });
  return {};
}

std::vector<TokenInfo> TokenStore::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<TokenInfo> out;
  for (const auto& [id, entry] : tokens_) out.push_back(entry.info);
  return out;
}

bool TokenStore::empty() const {
  const std::lock_guard lock(mutex_);
  return tokens_.empty();
}

void TokenStore::refresh() {
  const std::lock_guard lock(mutex_);
  std::error_code none;
  const auto written = std::filesystem::last_write_time(file_, none);
  if (!none && written == read_at_) return;
  load();
  std::erase_if(sessions_, [&](const auto& open) { return !tokens_.contains(open.second.principal.token_id); });
}

TokenStore::Answer TokenStore::authenticate(std::string_view token) const {
  // gantry_ + id (8) + _ + secret (64). The id picks the entry, so one hash and one comparison decide.
  constexpr std::size_t kIdLength = 8;
  constexpr std::size_t kLength = kPrefix.size() + kIdLength + 1 + 64;
  if (token.size() != kLength || !token.starts_with(kPrefix) || token[kPrefix.size() + kIdLength] != '_')
    return {std::nullopt, Refusal::kUnknown};
  const std::string id(token.substr(kPrefix.size(), kIdLength));
  const std::string digest = sha256_hex(token.substr(kPrefix.size() + kIdLength + 1));
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(id);
  // Compare even where the id is unknown, so that the time taken does not tell which ids exist.
  static const std::string kNobody(64, '0');
  const bool match = same(digest, found == tokens_.end() ? kNobody : found->second.sha256);
  if (found == tokens_.end() || !match) return {std::nullopt, Refusal::kUnknown};
  const TokenInfo& info = found->second.info;
  if (info.expires <= std::chrono::system_clock::now()) return {std::nullopt, Refusal::kExpired};
  Principal principal;
  principal.name = info.name;
  principal.token_id = info.id;
  principal.role = info.role;
  principal.expires = info.expires;
  return {principal, Refusal::kNone};
}

bool TokenStore::valid(const Principal& principal) const {
  const auto now = std::chrono::system_clock::now();
  if (principal.expires <= now) return false;
  if (principal.token_id.empty()) return true;
  const std::lock_guard lock(mutex_);
  if (!tokens_.contains(principal.token_id)) return false;
  if (!principal.by_cookie) return true;
  for (const auto& [digest, open] : sessions_)
    if (same(open.principal.csrf, principal.csrf)) return open.until > now;
  return false;
}

TokenStore::Session TokenStore::open_session(const Principal& principal) {
  Session session{random_hex(32), random_hex(32)};
  Open open;
  open.principal = principal;
  open.principal.by_cookie = true;
  open.principal.csrf = session.csrf;
  open.until = std::min(principal.expires, std::chrono::system_clock::now() + kSessionLifetime);
  open.principal.expires = open.until;
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::system_clock::now();
  std::erase_if(sessions_, [&](const auto& old) { return old.second.until <= now; });
  sessions_.emplace(sha256_hex(session.cookie), std::move(open));
  return session;
}

void TokenStore::close_session(std::string_view cookie) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(sha256_hex(cookie));
}

std::optional<Principal> TokenStore::session(std::string_view cookie) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(sha256_hex(cookie));
  if (found == sessions_.end() || found->second.until <= std::chrono::system_clock::now()) return std::nullopt;
  return found->second.principal;
}

}  // namespace gantry::server
