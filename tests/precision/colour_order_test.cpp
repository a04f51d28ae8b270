#include "precision/colour_order.hpp"

#include <gtest/gtest.h>

#include <array>

namespace gantry::precision {
namespace {

/// A picture of equal stripes in these colours (R, G, B).
Samples stripes(const std::vector<std::array<std::uint8_t, 3>>& colours) {
  constexpr std::size_t kArea = 64 * 60;
  Sample sample{"stripes", std::vector<std::uint8_t>(3 * kArea)};
  for (std::size_t i = 0; i < kArea; ++i)
    for (std::size_t c = 0; c < 3; ++c) sample.planes[c * kArea + i] = colours[i * colours.size() / kArea][c];
  return {{64, 60}, {sample}, {}};
}

TEST(Greens, LeavesAreYellowishAndBluishOnceRedAndBlueAreExchanged) {
  const Greens right = count_greens(stripes({{90, 120, 50}, {128, 128, 128}, {120, 160, 220}, {60, 90, 40}}));
  EXPECT_DOUBLE_EQ(right.yellowish, 0.5);
  EXPECT_DOUBLE_EQ(right.bluish, 0);
  const Greens exchanged = count_greens(stripes({{50, 120, 90}, {128, 128, 128}, {220, 160, 120}, {40, 90, 60}}));
  EXPECT_DOUBLE_EQ(exchanged.yellowish, 0);
  EXPECT_DOUBLE_EQ(exchanged.bluish, 0.5);
}

TEST(Greens, GreyRoadsAndPureGreensSayNothing) {
  const Greens greens = count_greens(stripes({{100, 103, 99}, {60, 120, 62}, {114, 114, 114}, {200, 204, 190}}));
  EXPECT_DOUBLE_EQ(greens.yellowish, 0);
  EXPECT_DOUBLE_EQ(greens.bluish, 0);
}

}  // namespace
}  // namespace gantry::precision
