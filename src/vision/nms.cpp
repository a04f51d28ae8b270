#include "gantry/vision/nms.hpp"

#include <algorithm>

namespace gantry::vision {

void Suppressor::run(std::span<const Detection> candidates, const NmsOptions& options, Detections& kept) {
  kept.clear();
  order_.clear();
  const auto& wanted = options.classes;
  for (std::uint32_t i = 0; i < candidates.size(); ++i) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), candidates[i].class_id) != wanted.end()) {
      order_.push_back(i);
    }
  }
  const auto better = [&](std::uint32_t a, std::uint32_t b) {
    const float left = candidates[a].confidence;
    const float right = candidates[b].confidence;
    return left != right ? left > right : a < b;
  };
  const auto limit = static_cast<std::size_t>(std::max(0, options.max_candidates));
  if (order_.size() > limit) {
    std::nth_element(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(limit), order_.end(), better);
    order_.resize(limit);
  }
  std::sort(order_.begin(), order_.end(), better);
  for (const std::uint32_t index : order_) {
    if (kept.size() >= static_cast<std::size_t>(std::max(0, options.max_detections))) break;
    const Detection& candidate = candidates[index];
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](const Detection& other) {
      return (options.agnostic || other.class_id == candidate.class_id) && iou(other.box, candidate.box) > options.iou;
    });
    if (!suppressed) kept.push_back(candidate);
  }
}

}  // namespace gantry::vision
