#include "gantry/media/source_gate.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "gantry/media/url.hpp"

namespace gantry::media {
namespace {

constexpr std::array<std::string_view, 7> kSchemes{"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt"};
constexpr const char* kHint = "; an administrator can list it in server.allow_sources or in the configuration file";

bool internal(std::uint32_t v4) {
  const std::uint32_t first = v4 >> 24U;
  return first == 0 || first == 127 || first >= 224 || (v4 >> 16U) == 0xA9FE;  // 169.254/16; 224/4 and up
}

/// Whatever is no address counts as internal.
bool internal(const std::string& address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return internal(ntohl(v4.s_addr));
  in6_addr a{};
  if (inet_pton(AF_INET6, address.c_str(), &a) != 1) return true;
  const auto v4_tail = [&] {
    return (std::uint32_t{a.s6_addr[12]} << 24U) | (std::uint32_t{a.s6_addr[13]} << 16U) |
           (std::uint32_t{a.s6_addr[14]} << 8U) | a.s6_addr[15];
  };
  const bool nat64 = a.s6_addr[0] == 0 && a.s6_addr[1] == 0x64 && a.s6_addr[2] == 0xff && a.s6_addr[3] == 0x9b;
  if (IN6_IS_ADDR_V4MAPPED(&a) || IN6_IS_ADDR_V4COMPAT(&a) || nat64) return internal(v4_tail());
  return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_LINKLOCAL(&a) ||
         IN6_IS_ADDR_MULTICAST(&a);
}

std::vector<std::string> resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  std::vector<std::string> out;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      out.emplace_back(text.data());
  }
  return out;
}

bool under(std::string_view source, std::string_view prefix) {
  if (prefix.empty() || !source.starts_with(prefix)) return false;
  const std::string_view rest = source.substr(prefix.size());
  if (rest.find("..") != rest.npos) return false;
  // So that rtsp://10.0.0.1 does not allow rtsp://10.0.0.1.example.org or rtsp://10.0.0.1:x@169.254.169.254.
  return rest.empty() || prefix.ends_with('/') || rest.front() == '/' || rest.front() == '?';
}

/// Where host and port lie in a URL.
struct Authority {
  std::size_t begin = 0;     ///< of the host, brackets included
  std::size_t host_end = 0;  ///< behind the host
  std::size_t end = 0;       ///< behind the port
};
Authority authority_of(std::string_view url) {
  Authority out;
  out.begin = url.find("://") + 3;
  out.end = std::min(url.find_first_of("/?#\\", out.begin), url.size());
  if (const auto at = url.substr(0, out.end).rfind('@'); at != url.npos && at >= out.begin) out.begin = at + 1;
  const bool bracket = out.begin < out.end && url[out.begin] == '[';
  const auto from = bracket ? std::min(url.find(']', out.begin), out.end) : out.begin;
  out.host_end = std::min(url.find(':', from), out.end);
  return out;
}

}  // namespace

SourceGate::SourceGate(std::vector<std::string> allowed) : SourceGate(std::move(allowed), resolve, {}) {}
SourceGate::SourceGate(std::vector<std::string> allowed, Resolve resolve, std::vector<std::string> outside)
    : allowed_(std::move(allowed)), resolve_(std::move(resolve)), outside_(std::move(outside)) {}

bool SourceGate::trusts(std::string_view url) const {
  return std::any_of(allowed_.begin(), allowed_.end(), [&](const auto& prefix) { return under(url, prefix); });
}

Result<SourceGate::Passage> SourceGate::pass(std::string_view url) const {
  const auto refuse = [](const std::string& why) { return fail(ErrorCode::kUnauthorized, "source: " + why); };
  if (trusts(url)) return Passage{true, std::string(url), {}};
  const bool control =
      std::any_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '\\'; });
  if (control) return refuse("blanks, control characters and backslashes are not taken");
  const std::string scheme = url_scheme(url);
  if (scheme == "scene") {
    // The simulator's one option that writes a file.
    if (url.find("truth=") != url.npos) return refuse(std::string("truth= writes a file on the server") + kHint);
    return Passage{true, std::string(url), {}};
  }
  if (std::find(kSchemes.begin(), kSchemes.end(), scheme) == kSchemes.end())
    return refuse(std::string("only rtsp, rtsps, http, https, rtmp, rtmps, srt and scene URLs are taken here, no files "
                              "and no other protocols") +
                  kHint);
  const Authority at = authority_of(url);
  std::string host(url.substr(at.begin, at.host_end - at.begin));
  if (host.starts_with('[')) host = host.substr(1, host.size() - (host.ends_with(']') ? 2 : 1));
  if (host.empty()) return refuse("the URL names no host");
  const auto addresses = resolve_(host);
  if (addresses.empty())
    return fail(ErrorCode::kNetwork,
                "source: the host's name can't be resolved, so nobody can say whether it may be "
                "reached; give its address" +
                    std::string(kHint));
  for (const auto& address : addresses)
    if (internal(address) && std::find(outside_.begin(), outside_.end(), address) == outside_.end())
      return refuse(
          std::string("the host is the server itself, link-local or no single host, which clients may not reach") +
          kHint);
  // IPv4 first: FFmpeg is given one address and cannot fall back to another.
  const auto v4 = std::find_if(addresses.begin(), addresses.end(),
                               [](const auto& address) { return address.find(':') == address.npos; });
  const std::string& chosen = v4 != addresses.end() ? *v4 : addresses.front();
  const bool brackets = chosen.find(':') != chosen.npos;
  Passage out;
  out.url = std::string(url.substr(0, at.begin)) + (brackets ? "[" + chosen + "]" : chosen) +
            std::string(url.substr(at.host_end));
  out.host = std::string(url.substr(at.begin, at.end - at.begin));
  return out;
}

}  // namespace gantry::media
