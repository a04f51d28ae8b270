#include "precision/clipping.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gantry/core/expects.hpp"

namespace gantry::precision {
namespace {

struct Range {
  double low = 0, high = 0;
};

Range whole_range(const Histogram& histogram) {
  return {histogram.lowest(), histogram.highest()};
}

/// Mean squared error of a tensor with this histogram.
double squared_error(const Histogram& histogram, const Quantizer& quantizer) {
  double sum = 0;
  for (std::size_t i = 0; i < Histogram::kBins; ++i) {
    if (histogram.count(i) == 0) continue;
    const double value = histogram.middle(i);
    const double error = value - static_cast<double>(quantizer(static_cast<float>(value)));
    sum += static_cast<double>(histogram.count(i)) * error * error;
  }
  return sum / static_cast<double>(histogram.total());
}

/// Divergence of what the quantiser makes of the distribution from the clipped distribution itself.
double divergence(const Histogram& histogram, const Quantizer& quantizer) {
  const int steps = quantizer.highest - quantizer.lowest + 1;
  std::vector<double> mass(static_cast<std::size_t>(steps), 0);    // of what lies inside the range
  std::vector<double> filled(static_cast<std::size_t>(steps), 0);  // bins that aren't empty
  std::vector<std::size_t> step_of(Histogram::kBins, 0);
  std::vector<double> clipped(Histogram::kBins, 0);  // with what lies outside put into the outermost bins inside
  const double low = static_cast<double>(quantizer.dequantize(quantizer.lowest));
  const double high = static_cast<double>(quantizer.dequantize(quantizer.highest));
  const auto bin_at = [&](double value) {
    const double bin = std::floor((value + histogram.limit()) / histogram.bin_width());
    return static_cast<std::size_t>(std::clamp(bin, 0.0, static_cast<double>(Histogram::kBins - 1)));
  };
  const std::size_t first = bin_at(low);
  const std::size_t last = bin_at(high);
  for (std::size_t i = 0; i < Histogram::kBins; ++i) {
    if (histogram.count(i) == 0) continue;
    const std::size_t inside = std::clamp(i, first, last);
    const auto count = static_cast<double>(histogram.count(i));
    const int step = quantizer.quantize(static_cast<float>(histogram.middle(inside))) - quantizer.lowest;
    step_of[inside] = static_cast<std::size_t>(step);
    if (clipped[inside] == 0) filled[static_cast<std::size_t>(step)] += 1;
    clipped[inside] += count;
    if (inside == i) mass[static_cast<std::size_t>(step)] += count;
  }
  double total = 0;
  for (std::size_t i = first; i <= last; ++i) total += clipped[i] > 0 ? mass[step_of[i]] / filled[step_of[i]] : 0;
  double sum = 0;
  for (std::size_t i = first; i <= last; ++i) {
    if (clipped[i] <= 0) continue;
    const double p = clipped[i] / static_cast<double>(histogram.total());
    const double q = total > 0 ? mass[step_of[i]] / filled[step_of[i]] / total : 0;
    sum += p * std::log(p / std::max(q, 1e-12));
  }
  return sum;
}

Range middle_share(const Histogram& histogram, double share) {
  const double tail = (1 - share) / 2 * static_cast<double>(histogram.total());
  const auto from_end = [&](bool upper) {
    double seen = 0;
    for (std::size_t k = 0; k < Histogram::kBins; ++k) {
      const std::size_t i = upper ? Histogram::kBins - 1 - k : k;
      seen += static_cast<double>(histogram.count(i));
      if (seen > tail) return histogram.middle(i) + (upper ? 0.5 : -0.5) * histogram.bin_width();
    }
    return 0.0;
  };
  return {std::max(from_end(false), static_cast<double>(histogram.lowest())),
          std::min(from_end(true), static_cast<double>(histogram.highest()))};
}

/// The range of least cost among those that cut off a part of the long tails.
template <typename CostOf>
Quantizer search(const Histogram& histogram, Encoding encoding, const CostOf& cost_of) {
  const Range whole = whole_range(histogram);
  Quantizer best = make_quantizer(whole.low, whole.high, encoding);
  double least = std::numeric_limits<double>::infinity();
  for (const double lower : {1.0, 0.8, 0.6, 0.4}) {
    // A short lower tail (SiLU's) costs nothing to keep; both ends are cut alike where the range is symmetric anyway.
    if (lower < 1 && (encoding == Encoding::kSymmetric || -whole.low < 0.25 * whole.high)) break;
    for (int percent = 100; percent >= 30; percent -= 2) {
      const Quantizer tried = make_quantizer(whole.low * (encoding == Encoding::kSymmetric ? percent / 100.0 : lower),
                                             whole.high * percent / 100.0, encoding);
      const double cost = cost_of(histogram, tried);
      if (cost >= least) continue;
      least = cost;
      best = tried;
    }
  }
  return best;
}

}  // namespace

const char* to_string(Clipping clipping) noexcept {
  switch (clipping) {
    case Clipping::kNone:
      return "none";
    case Clipping::kMse:
      return "mse";
    case Clipping::kPercentile:
      return "percentile";
    case Clipping::kEntropy:
      return "entropy";
  }
  return "";
}

const char* to_string(Encoding encoding) noexcept {
  return encoding == Encoding::kAffine ? "affine" : "symmetric";
}

Quantizer make_quantizer(double low, double high, Encoding encoding) noexcept {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  constexpr double kLeastScale = 1e-8;  // a tensor that is always 0
  if (encoding == Encoding::kSymmetric)
    return {static_cast<float>(std::max(std::max(-low, high) / 127, kLeastScale)), 0, -128, 127};
  const double scale = std::max((high - low) / 255, kLeastScale);
  return {static_cast<float>(scale), static_cast<int>(std::clamp(std::nearbyint(-low / scale), 0.0, 255.0)), 0, 255};
}

Quantizer choose_quantizer(const Histogram& histogram, Clipping clipping, Encoding encoding) {
  GANTRY_EXPECTS(!histogram.empty(), "a quantiser needs values to be chosen by");
  switch (clipping) {
    case Clipping::kNone:
      return make_quantizer(histogram.lowest(), histogram.highest(), encoding);
    case Clipping::kMse:
      return search(histogram, encoding, squared_error);
    case Clipping::kEntropy:
      return search(histogram, encoding, divergence);
    case Clipping::kPercentile:
      break;
  }
  const Range range = middle_share(histogram, 0.9999);
  return make_quantizer(range.low, range.high, encoding);
}

}  // namespace gantry::precision
