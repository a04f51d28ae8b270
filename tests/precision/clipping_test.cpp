#include "precision/clipping.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace gantry::precision {
namespace {

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

std::vector<float> normal(std::size_t count, float spread) {
  std::mt19937 random(3);
  std::normal_distribution<float> draw(0, spread);
  std::vector<float> values(count);
  for (float& value : values) value = draw(random);
  return values;
}

TEST(Histogram, CountsEveryValueInItsBin) {
  const Histogram histogram = histogram_of({-1.5F, 0.25F, 0.25F, 3.0F});
  EXPECT_EQ(histogram.total(), 4U);
  EXPECT_FLOAT_EQ(histogram.lowest(), -1.5F);
  EXPECT_FLOAT_EQ(histogram.highest(), 3.0F);
  EXPECT_EQ(histogram.limit(), 4.0);
  std::uint64_t at_quarter = 0;
  for (std::size_t i = 0; i < Histogram::kBins; ++i)
    if (std::abs(histogram.middle(i) - 0.25) <= histogram.bin_width()) at_quarter += histogram.count(i);
  EXPECT_EQ(at_quarter, 2U);
}

TEST(Histogram, IsTheSameInAnyOrderAndSplit) {
  std::vector<float> values = normal(5000, 0.01F);
  const std::vector<float> large = normal(100, 300);
  values.insert(values.end(), large.begin(), large.end());
  const Histogram whole = histogram_of(values);
  Histogram merged;
  for (std::size_t end = values.size(); end > 0; end -= 100)
    merged.merge(histogram_of(
        {values.begin() + static_cast<std::ptrdiff_t>(end - 100), values.begin() + static_cast<std::ptrdiff_t>(end)}));
  ASSERT_EQ(whole.limit(), merged.limit());
  for (std::size_t i = 0; i < Histogram::kBins; ++i) ASSERT_EQ(whole.count(i), merged.count(i)) << "bin " << i;
}

TEST(Quantizer, HoldsZeroExactlyAndRoundsHalfToEven) {
  for (const Encoding encoding : {Encoding::kAffine, Encoding::kSymmetric}) {
    const Quantizer quantizer = make_quantizer(-0.2785, 6.1, encoding);
    EXPECT_EQ(quantizer(0), 0) << to_string(encoding);
    EXPECT_NEAR(quantizer(6.1F), 6.1F, quantizer.scale);
    EXPECT_LE(std::abs(quantizer(1.234F) - 1.234F), quantizer.scale / 2 * 1.0001F);
    EXPECT_EQ(quantizer.quantize(1e9F), quantizer.highest);
    EXPECT_EQ(quantizer.quantize(-1e9F), quantizer.lowest);
  }
  const Quantizer unit{1, 0, -128, 127};
  EXPECT_EQ(unit.quantize(2.5F), 2);
  EXPECT_EQ(unit.quantize(3.5F), 4);
}

TEST(Quantizer, OfATensorThatIsAlwaysZeroIsHarmless) {
  for (const Clipping clipping : kClippings) {
    const Quantizer quantizer = choose_quantizer(histogram_of({0, 0, 0}), clipping, Encoding::kAffine);
    EXPECT_EQ(quantizer(0), 0) << to_string(clipping);
    EXPECT_GT(quantizer.scale, 0) << to_string(clipping);
  }
}

TEST(Clipping, KeepsEvenlySpreadValuesWhole) {
  std::vector<float> values;
  for (int i = 0; i < 10000; ++i) values.push_back(static_cast<float>(i) / 10000);
  for (const Clipping clipping : kClippings) {
    const Quantizer quantizer = choose_quantizer(histogram_of(values), clipping, Encoding::kAffine);
    EXPECT_NEAR(quantizer.dequantize(quantizer.highest), 1.0F, 0.03F) << to_string(clipping);
  }
}

/// A few huge values among many small ones: whoever keeps them spends the steps of all the others on them.
TEST(Clipping, CutsRareOutliersOff) {
  std::vector<float> values = normal(200000, 1);
  values.push_back(400);
  const Histogram histogram = histogram_of(values);
  for (const Clipping clipping : {Clipping::kPercentile, Clipping::kEntropy}) {
    const Quantizer quantizer = choose_quantizer(histogram, clipping, Encoding::kSymmetric);
    EXPECT_LT(quantizer.dequantize(quantizer.highest), 200) << to_string(clipping);
  }
}

TEST(Clipping, MseIsTheLeastOfAllThree) {
  std::vector<float> values = normal(100000, 1);
  const std::vector<float> tail = normal(50, 30);
  values.insert(values.end(), tail.begin(), tail.end());
  const Histogram histogram = histogram_of(values);
  const auto error = [&](Clipping clipping) {
    const Quantizer quantizer = choose_quantizer(histogram, clipping, Encoding::kSymmetric);
    double sum = 0;
    for (const float value : values) sum += std::pow(static_cast<double>(value - quantizer(value)), 2);
    return sum;
  };
  EXPECT_LE(error(Clipping::kMse), 1.02 * error(Clipping::kPercentile));
  EXPECT_LE(error(Clipping::kMse), 1.02 * error(Clipping::kEntropy));
}

}  // namespace
}  // namespace gantry::precision
