#include "gantry/server/router.hpp"

#include <gtest/gtest.h>

namespace gantry::server {
namespace {

Router sample() {
  const Handler nothing = [](Request&, const Responder&) {};
  Router router;
  router.add({"GET", "/cameras", Role::kViewer, 0, nothing, false});
  router.add({"GET", "/cameras/{id}", Role::kViewer, 0, nothing, false});
  router.add({"DELETE", "/cameras/{id}", Role::kOperator, 0, nothing, false});
  router.add({"GET", "/files/{path*}", Role::kViewer, 0, nothing, false});
  return router;
}

TEST(Router, FillsPlaceholders) {
  const Router router = sample();
  EXPECT_EQ(router.find("GET", "/cameras").route->pattern, "/cameras");
  EXPECT_EQ(router.find("GET", "/cameras/gate-1").params.at("id"), "gate-1");
  EXPECT_EQ(router.find("GET", "/files/a/b.js").params.at("path"), "a/b.js");
  EXPECT_EQ(router.find("DELETE", "/cameras/x").route->role, Role::kOperator);
}

TEST(Router, TellsWrongPathFromWrongMethod) {
  const Router router = sample();
  EXPECT_EQ(router.find("GET", "/cameras/").route, nullptr);
  EXPECT_EQ(router.find("GET", "/cameras/a/b").route, nullptr);
  EXPECT_EQ(router.find("GET", "/cameras/a/b").allow, "");
  EXPECT_EQ(router.find("PUT", "/cameras/a").allow, "GET, DELETE");
}

TEST(ParseTarget, DecodesPathAndQuery) {
  const Target target = parse_target("/a%20b/c?x=1&y=%26+z&flag&x=2");
  EXPECT_EQ(target.path, "/a b/c");
  EXPECT_EQ(target.query, (std::map<std::string, std::string>{{"x", "2"}, {"y", "& z"}, {"flag", ""}}));
}

TEST(ParseTarget, RefusesWhatCouldEscape) {
  for (const char* bad : {"", "a", "/a/../b", "/..", "/.", "/%2e%2e/x", "/a%2fb", "/a%2Fb", "/a\\b", "/%00", "/%zz",
                          "/%2", "/a?x=%0a", "http://h/a"})
    EXPECT_EQ(parse_target(bad).path, "") << bad;
}

}  // namespace
}  // namespace gantry::server
