#include "gantry/media/url.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace gantry::media {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

bool names_a_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 9> kWords{"pass", "pwd", "token", "key",  "secret",
                                                          "auth", "sig", "user",  "login"};
  std::string text(key);
  std::transform(text.begin(), text.end(), text.begin(), lower);
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view w) { return text.find(w) != text.npos; });
}

/// Where the user information of "user:password@host…" ends, npos where there is none. Passwords with a raw '/' or '@'
/// in them are not legal and do occur.
std::size_t end_of_user(std::string_view rest) {
  const std::size_t path = rest.find_first_of("/?#");
  const std::size_t at = rest.substr(0, path).rfind('@');
  if (at != rest.npos) {
    const std::size_t later = rest.substr(0, rest.find('?')).rfind('@');
    return std::max(at, later == rest.npos ? at : later);
  }
  const std::size_t colon = rest.substr(0, path).find(':');
  const std::size_t later = rest.rfind('@');
  if (colon == rest.npos || later == rest.npos || path == rest.npos) return rest.npos;
  const std::string_view port = rest.substr(colon + 1, path - colon - 1);
  const bool is_port =
      !port.empty() && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_port ? rest.npos : later;
}

}  // namespace

std::string url_scheme(std::string_view url) {
  const std::size_t end = url.find("://");
  if (end == url.npos || end == 0) return {};
  std::string scheme(url.substr(0, end));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), lower);
  const bool legal = std::all_of(scheme.begin(), scheme.end(),
                                 [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '-' || c == '.'; });
  return legal ? scheme : std::string{};
}

std::string redact_url(std::string_view url) {
  const std::string scheme = url_scheme(url);
  if (scheme.empty()) return std::string(url);
  std::string out = std::string(url.substr(0, scheme.size() + 3));
  std::string_view rest = url.substr(scheme.size() + 3);

  const std::size_t at = end_of_user(rest);
  if (at != rest.npos) {
    const std::size_t colon = rest.substr(0, at).find(':');
    // A user without a password is often a token.
    if (colon != rest.npos) out += std::string(rest.substr(0, colon)) + ":";
    out += "***";
    rest = rest.substr(at);
  }
  const std::size_t query = rest.find('?');
  out += rest.substr(0, query == rest.npos ? query : query + 1);
  rest = query == rest.npos ? std::string_view{} : rest.substr(query + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of("&;#"), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = pair.find('=');
    const bool secret = equals != pair.npos && names_a_secret(pair.substr(0, equals));
    out += secret ? std::string(pair.substr(0, equals + 1)) + "***" : std::string(pair);
    if (end < rest.size()) out += rest[end];
    rest = rest.substr(std::min(end + 1, rest.size()));
  }
  return out;
}

}  // namespace gantry::media
