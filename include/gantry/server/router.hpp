#pragma once
// Which function answers which path, and who may call it. Filled at start, then read-only.
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/server/http.hpp"
#include "gantry/server/principal.hpp"

namespace gantry::server {

using Handler = std::function<void(Request&, const Responder&)>;

struct Route {
  std::string method;   ///< "GET" answers HEAD too
  std::string pattern;  ///< "/api/v1/cameras/{id}/stats"; {id} matches one segment, a last {rest*} matches the rest
  Role role = Role::kViewer;
  std::size_t max_body_bytes = 64 * 1024;
  Handler handler;
  bool websocket = false;  ///< takes WebSocket upgrades as well
};

class Router {
 public:
  void add(Route route);

  struct Match {
    const Route* route = nullptr;
    std::map<std::string, std::string> params;
    std::string allow;  ///< where the path exists and the method does not: "GET, PUT"
  };
  [[nodiscard]] Match find(std::string_view method, std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const noexcept { return routes_; }

 private:
  std::vector<Route> routes_;
};

/// A request target in its parts, decoded. Empty path where the target is malformed: bad escapes, NUL, control
/// characters, or "." and ".." segments, encoded or not.
struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
[[nodiscard]] Target parse_target(std::string_view target);

}  // namespace gantry::server
