#include "server/source_rules.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>

#include "gantry/media/url.hpp"

namespace gantry::server {
namespace {

constexpr std::array<std::string_view, 7> kSchemes{"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt"};

bool internal(std::uint32_t v4) {
  const std::uint32_t first = v4 >> 24U;
  return first == 0 || first == 127 || first >= 224 || (v4 >> 16U) == 0xA9FE;  // 169.254/16; 224/4 and up
}

bool internal(const sockaddr& address) {
  if (address.sa_family == AF_INET)
    return internal(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr));
  if (address.sa_family != AF_INET6) return true;
  const in6_addr& a = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  const auto v4_tail = [&] {
    return (std::uint32_t{a.s6_addr[12]} << 24U) | (std::uint32_t{a.s6_addr[13]} << 16U) |
           (std::uint32_t{a.s6_addr[14]} << 8U) | a.s6_addr[15];
  };
  const bool nat64 = a.s6_addr[0] == 0 && a.s6_addr[1] == 0x64 && a.s6_addr[2] == 0xff && a.s6_addr[3] == 0x9b;
  if (IN6_IS_ADDR_V4MAPPED(&a) || IN6_IS_ADDR_V4COMPAT(&a) || nat64) return internal(v4_tail());
  return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_LINKLOCAL(&a) ||
         IN6_IS_ADDR_MULTICAST(&a);
}

/// A prefix ends at a border between parts of a URL, so that rtsp://10.0.0.1 does not allow rtsp://10.0.0.1.example.org
/// or rtsp://10.0.0.1:x@169.254.169.254, and nothing climbs out of it.
bool under(std::string_view source, std::string_view prefix) {
  if (prefix.empty() || !source.starts_with(prefix)) return false;
  const std::string_view rest = source.substr(prefix.size());
  if (rest.find("..") != rest.npos) return false;
  return rest.empty() || prefix.ends_with('/') || rest.front() == '/' || rest.front() == '?';
}

}  // namespace

std::string host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == url.npos) return {};
  std::string_view rest = url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("/?#\\"));
  if (const auto at = rest.rfind('@'); at != rest.npos) rest = rest.substr(at + 1);
  if (rest.starts_with('[')) return std::string{rest.substr(1, std::min(rest.find(']'), rest.size()) - 1)};
  return std::string{rest.substr(0, rest.find(':'))};
}

std::optional<std::string> refuse_source(std::string_view source, const std::vector<std::string>& allowed) {
  if (std::any_of(allowed.begin(), allowed.end(), [&](const auto& prefix) { return under(source, prefix); })) return {};
  const std::string hint = "; an administrator can list it in server.allow_sources or in the configuration file";
  const bool control =
      std::any_of(source.begin(), source.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '\\'; });
  if (control) return "source: blanks, control characters and backslashes are not taken";
  const std::string scheme = media::url_scheme(source);
  if (scheme == "scene") return {};
  if (std::find(kSchemes.begin(), kSchemes.end(), scheme) == kSchemes.end())
    return "source: only rtsp, rtsps, http, https, rtmp, rtmps, srt and scene URLs are taken here, no files and no " +
           std::string{"other protocols"} + hint;
  const std::string host = host_of(source);
  if (host.empty()) return "source: the URL names no host";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0)
    return "source: the host's name can't be resolved, so nobody can say whether it may be reached; give its address" +
           hint;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    if (internal(*one->ai_addr))
      return "source: the host is the server itself, link-local or no single host, which clients may not reach" + hint;
  return {};
}

}  // namespace gantry::server
