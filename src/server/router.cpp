#include "gantry/server/router.hpp"

#include <algorithm>
#include <optional>

#include "gantry/core/expects.hpp"

namespace gantry::server {
namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

bool matches(std::string_view pattern, std::string_view path, std::map<std::string, std::string>& params) {
  const auto want = segments(pattern);
  const auto have = segments(path);
  for (std::size_t i = 0; i < want.size(); ++i) {
    const bool placeholder = want[i].size() > 2 && want[i].front() == '{' && want[i].back() == '}';
    if (placeholder && want[i].ends_with("*}")) {
      std::string rest;
      for (std::size_t k = i; k < have.size(); ++k) rest.append(k == i ? "" : "/").append(have[k]);
      params.emplace(want[i].substr(1, want[i].size() - 3), std::move(rest));
      return true;
    }
    if (i >= have.size()) return false;
    if (placeholder) {
      if (have[i].empty()) return false;
      params.emplace(want[i].substr(1, want[i].size() - 2), have[i]);
    } else if (want[i] != have[i]) {
      return false;
    }
  }
  return want.size() == have.size();
}

/// Percent-decoding; nothing for a broken escape or a control character, which no path or query of ours contains.
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
      c = static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out.push_back(c);
  }
  return out;
}

}  // namespace

void Router::add(Route route) {
  GANTRY_EXPECTS(route.pattern.starts_with('/'), "a route's pattern begins with /");
  GANTRY_EXPECTS(route.handler != nullptr, "a route needs a handler");
  routes_.push_back(std::move(route));
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
  Match match;
  for (const Route& route : routes_) {
    std::map<std::string, std::string> params;
    if (!matches(route.pattern, path, params)) continue;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) {
      match.route = &route;
      match.params = std::move(params);
      match.allow.clear();
      return match;
    }
    match.allow += (match.allow.empty() ? "" : ", ") + route.method;
  }
  return match;
}

Target parse_target(std::string_view target) {
  if (!target.starts_with('/')) return {};
  const auto mark = std::min(target.find('?'), target.size());
  Target out;
  // Segment by segment: an encoded slash stays inside its segment's text and is refused with the dots, because no
  // name of ours contains either.
  const auto path = decode(target.substr(0, mark), false);
  const std::string_view raw = target.substr(0, mark);
  if (!path || raw.find("%2f") != raw.npos || raw.find("%2F") != raw.npos || path->find('\\') != std::string::npos)
    return {};
  for (const auto segment : segments(*path))
    if (segment == "." || segment == "..") return {};
  std::string_view rest = mark < target.size() ? target.substr(mark + 1) : std::string_view{};
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    const auto name = decode(pair.substr(0, equals), true);
    const auto value = decode(equals < pair.size() ? pair.substr(equals + 1) : std::string_view{}, true);
    if (!name || !value) return {};
    out.query[*name] = *value;
  }
  out.path = *path;
  return out;
}

}  // namespace gantry::server
