#include "gantry/vision/head.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "vision/head_kernels.hpp"

namespace gantry::vision {
namespace {

float sigmoid(float logit) {
  return 1.0F / (1.0F + std::exp(-logit));
}

/// A logit that every score above `confidence` exceeds; a shade low, the exact test follows.
float logit_below(float confidence) {
  if (confidence <= 0) return -std::numeric_limits<float>::infinity();
  if (confidence >= 1) return std::numeric_limits<float>::infinity();
  return std::log(confidence / (1.0F - confidence)) - 0.01F;
}

/// Mean of the distance distribution, in cells. `step` is from one bin to the next.
float expected_distance(const float* bins, std::size_t step) {
  std::array<float, kDistanceBins> weights{};
  float top = bins[0];
  for (std::size_t i = 1; i < kDistanceBins; ++i) top = std::max(top, bins[i * step]);
  float sum = 0;
  float mean = 0;
  for (std::size_t i = 0; i < kDistanceBins; ++i) {
    weights[i] = std::exp(bins[i * step] - top);
    sum += weights[i];
    mean += weights[i] * static_cast<float>(i);
  }
  return mean / sum;
}

Box box_of_cell(const HeadLevel& level, std::size_t cell) {
  const std::size_t area = static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height);
  std::array<float, 4> side{};
  for (std::size_t i = 0; i < 4; ++i) {
    side[i] = expected_distance(level.distances + i * kDistanceBins * area + cell, area);
  }
  const auto width = static_cast<std::size_t>(level.width);
  const float x = static_cast<float>(cell % width) + 0.5F;
  const float y = static_cast<float>(cell / width) + 0.5F;
  const auto stride = static_cast<float>(level.stride);
  return {(x - side[0]) * stride, (y - side[1]) * stride, (x + side[2]) * stride, (y + side[3]) * stride};
}

/// The candidates of one anchor; `score(c)` gives a class's confidence, `box()` the anchor's box.
template <typename Score, typename BoxOf>
void append(int classes, const CandidateOptions& options, Score&& score, BoxOf&& box, std::vector<Detection>& out) {
  if (options.every_class) {
    Box found;
    bool have_box = false;
    for (int c = 0; c < classes; ++c) {
      const float confidence = score(c);
      if (!(confidence > options.confidence)) continue;
      if (!have_box) found = box();
      have_box = true;
      out.push_back({found, confidence, c});
    }
    return;
  }
  int best = 0;
  float best_score = score(0);
  for (int c = 1; c < classes; ++c) {
    const float confidence = score(c);
    if (confidence > best_score) {
      best_score = confidence;
      best = c;
    }
  }
  if (best_score > options.confidence) out.push_back({box(), best_score, best});
}

void append_cell(const HeadLevel& level, int classes, std::size_t cell, const CandidateOptions& options,
                 std::vector<Detection>& out) {
  const std::size_t area = static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height);
  const float* scores = level.scores + cell;
  const auto box = [&] { return box_of_cell(level, cell); };
  if (options.every_class) {
    append(
        classes, options, [&](int c) { return sigmoid(scores[static_cast<std::size_t>(c) * area]); }, box, out);
    return;
  }
  // The sigmoid is monotone, so the best logit is the best score.
  int best = 0;
  for (int c = 1; c < classes; ++c) {
    if (scores[static_cast<std::size_t>(c) * area] > scores[static_cast<std::size_t>(best) * area]) best = c;
  }
  const float confidence = sigmoid(scores[static_cast<std::size_t>(best) * area]);
  if (confidence > options.confidence) out.push_back({box(), confidence, best});
}

}  // namespace

void decode_maps(std::span<const HeadLevel> levels, int classes, const CandidateOptions& options,
                 std::vector<Detection>& out) {
  constexpr std::size_t kBlock = 256;
  std::array<float, kBlock> best;
  const float threshold = logit_below(options.confidence);
  const auto max_over_classes = max_over_classes_kernel();
  for (const HeadLevel& level : levels) {
    const std::size_t area = static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height);
    for (std::size_t start = 0; start < area; start += kBlock) {
      const std::size_t count = std::min(kBlock, area - start);
      max_over_classes(level.scores + start, area, classes, count, best.data());
      for (std::size_t i = 0; i < count; ++i) {
        if (best[i] > threshold) append_cell(level, classes, start + i, options, out);
      }
    }
  }
}

void decode_maps_reference(std::span<const HeadLevel> levels, int classes, const CandidateOptions& options,
                           std::vector<Detection>& out) {
  for (const HeadLevel& level : levels) {
    const std::size_t area = static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height);
    for (std::size_t cell = 0; cell < area; ++cell) {
      append(
          classes, options, [&](int c) { return sigmoid(level.scores[static_cast<std::size_t>(c) * area + cell]); },
          [&] { return box_of_cell(level, cell); }, out);
    }
  }
}

void decode_output(const float* output, int classes, int anchors, const CandidateOptions& options,
                   std::vector<Detection>& out) {
  constexpr std::size_t kBlock = 256;
  std::array<float, kBlock> best;
  const auto total = static_cast<std::size_t>(anchors);
  const float* scores = output + 4 * total;
  const auto max_over_classes = max_over_classes_kernel();
  for (std::size_t start = 0; start < total; start += kBlock) {
    const std::size_t count = std::min(kBlock, total - start);
    max_over_classes(scores + start, total, classes, count, best.data());
    for (std::size_t i = start; i < start + count; ++i) {
      if (!(best[i - start] > options.confidence)) continue;
      const auto box = [&] {
        const float half_width = output[2 * total + i] / 2;
        const float half_height = output[3 * total + i] / 2;
        const float x = output[i];
        const float y = output[total + i];
        return Box{x - half_width, y - half_height, x + half_width, y + half_height};
      };
      append(
          classes, options, [&](int c) { return scores[static_cast<std::size_t>(c) * total + i]; }, box, out);
    }
  }
}

}  // namespace gantry::vision
