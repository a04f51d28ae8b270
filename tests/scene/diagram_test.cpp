#include "gantry/scene/diagram.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gantry::scene {
namespace {

TEST(FundamentalDiagram, LooksLikeAMotorway) {
  const std::vector<DiagramPoint> points = measure_diagram(3, 1);
  double most = 0;
  double free_speed = 0;
  int free_points = 0;
  double jammed = 0;
  for (const DiagramPoint& p : points) {
    most = std::max(most, p.flow);
    if (!p.congested && p.density < 8) {
      free_speed += p.speed;
      ++free_points;
    }
    jammed = std::max(jammed, p.density);
    // No lane carries more than one vehicle a second, none is fuller than bumper to bumper.
    EXPECT_LT(p.flow, 3000);
    EXPECT_LT(p.density, 180);
    EXPECT_NEAR(p.flow, p.density * p.speed * 3.6, 1e-6 * p.flow + 1e-6);
  }
  ASSERT_GT(free_points, 10);
  EXPECT_GT(most, 1400) << "capacity, vehicles/h and lane";
  EXPECT_GT(free_speed / free_points, 24) << "m/s";
  EXPECT_LT(free_speed / free_points, 37) << "m/s";
  EXPECT_GT(jammed, 45) << "the bottleneck makes a queue";
}

TEST(FundamentalDiagram, SvgHoldsEveryPoint) {
  const std::string svg = diagram_svg({{10, 1200, 33, false}, {90, 800, 2.5, true}});
  EXPECT_NE(svg.find("#2457a8\" fill-opacity"), std::string::npos);
  EXPECT_NE(svg.find("#c0392b\" fill-opacity"), std::string::npos);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
}

}  // namespace
}  // namespace gantry::scene
