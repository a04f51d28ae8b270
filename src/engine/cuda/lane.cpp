#include "engine/cuda/lane.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace gantry::cuda {

void Lane::reserve(const LaneSize& wanted) {
  LaneSize size;
  size.arena_bytes = std::max(size_.arena_bytes, wanted.arena_bytes);
  size.input_bytes = std::max(size_.input_bytes, wanted.input_bytes);
  size.images = std::max(size_.images, wanted.images), size.anchors = std::max(size_.anchors, wanted.anchors);
  size.classes = wanted.classes;
  const bool rows = size.images != size_.images || size.anchors != size_.anchors;
  if (size.arena_bytes == size_.arena_bytes && size.input_bytes == size_.input_bytes && !rows) return;

  // All that is new first, so that a full card leaves the lane as it was.
  const auto images = static_cast<std::size_t>(size.images), cells = images * static_cast<std::size_t>(size.anchors);
  const auto words = static_cast<std::size_t>(size.classes + 31) / 32;
  DeviceBuffer arena, input, keys, boxes, ids, round, counts, limits, masks;
  PinnedBuffer limits_host, masks_host, detections, detection_counts;
  if (size.arena_bytes != size_.arena_bytes) arena = DeviceBuffer(size.arena_bytes);
  if (size.input_bytes != size_.input_bytes) input = DeviceBuffer(size.input_bytes);
  if (rows) {
    keys = DeviceBuffer(cells * sizeof(std::uint64_t)), boxes = DeviceBuffer(cells * sizeof(float4));
    ids = DeviceBuffer(cells * sizeof(std::int32_t)), counts = DeviceBuffer(images * sizeof(std::int32_t));
    round = DeviceBuffer(images * sizeof(NmsRound)), limits = DeviceBuffer(images * sizeof(DetectLimits));
    masks = DeviceBuffer(images * words * sizeof(std::uint32_t));
    limits_host = PinnedBuffer(limits.bytes()), masks_host = PinnedBuffer(masks.bytes());
    detections = PinnedBuffer(images * kMaxDetections * sizeof(RawDetection));
    detection_counts = PinnedBuffer(images * sizeof(std::int32_t));
  }

  graphs.clear();
  if (arena.bytes() != 0) arena_ = std::move(arena);
  if (input.bytes() != 0) input_ = std::move(input);
  if (rows) {
    keys_ = std::move(keys), boxes_ = std::move(boxes), ids_ = std::move(ids), counts_ = std::move(counts);
    round_ = std::move(round), limits_ = std::move(limits), masks_ = std::move(masks);
    limits_host_ = std::move(limits_host), masks_host_ = std::move(masks_host);
    detections_ = std::move(detections), detection_counts_ = std::move(detection_counts);
  }
  size_ = size, mask_words_ = words, limits_there_ = 0;
  reset_counters();
  static const engine::DetectOptions defaults;
  const engine::DetectOptions* const all = &defaults;
  set_limits(size.images, {&all, 1});
  check(cudaStreamSynchronize(stream_.get()), "upload");
}

std::size_t Lane::growth(const LaneSize& size) const noexcept {
  return std::max(size.arena_bytes, size_.arena_bytes) - size_.arena_bytes +
         std::max(size.input_bytes, size_.input_bytes) - size_.input_bytes;
}

Binding Lane::binding(int batch) const {
  Binding b;
  b.arena = arena_.data(), b.input = input_.as<__half>(), b.batch = batch;
  b.detect.limits = limits_.as<DetectLimits>(), b.detect.class_masks = masks_.as<std::uint32_t>();
  b.detect.keys = keys_.as<std::uint64_t>(), b.detect.boxes = boxes_.as<float4>();
  b.detect.ids = ids_.as<std::int32_t>(), b.detect.round = round_.as<NmsRound>(),
  b.detect.counts = counts_.as<std::int32_t>();
  b.detect.detections = detections_.as<RawDetection>();
  b.detect.detection_counts = detection_counts_.as<std::int32_t>();
  return b;
}

void Lane::set_limits(int images, std::span<const engine::DetectOptions* const> options) {
  bool changed = images > limits_there_;
  for (int i = 0; i < images; ++i) {
    const engine::DetectOptions& o = *options[options.size() == 1 ? 0 : static_cast<std::size_t>(i)];
    const DetectLimits wanted{o.confidence, o.iou, std::clamp(o.max_detections, 1, kMaxDetections), o.agnostic ? 1 : 0};
    DetectLimits& limits = limits_host_.as<DetectLimits>()[i];
    std::uint32_t* const mask = masks_host_.as<std::uint32_t>() + static_cast<std::size_t>(i) * mask_words_;
    const auto bits = [&](std::size_t word) {
      std::uint32_t value = o.classes.empty() ? 0xffffffffU : 0U;
      for (const int id : o.classes)
        if (id >= 0 && static_cast<std::size_t>(id) / 32 == word) value |= 1U << (id % 32);
      return value;
    };
    changed = changed || limits.confidence != wanted.confidence || limits.iou != wanted.iou ||
              limits.max_detections != wanted.max_detections || limits.agnostic != wanted.agnostic;
    for (std::size_t w = 0; w < mask_words_; ++w) changed = changed || mask[w] != bits(w);
    if (!changed) continue;
    limits = wanted;
    for (std::size_t w = 0; w < mask_words_; ++w) mask[w] = bits(w);
  }
  if (!changed) return;
  limits_there_ = std::max(limits_there_, images);
  const auto n = static_cast<std::size_t>(images);
  check(cudaMemcpyAsync(limits_.data(), limits_host_.as<void>(), n * sizeof(DetectLimits), cudaMemcpyHostToDevice,
                        stream_.get()),
        "upload");
  check(cudaMemcpyAsync(masks_.data(), masks_host_.as<void>(), n * mask_words_ * sizeof(std::uint32_t),
                        cudaMemcpyHostToDevice, stream_.get()),
        "upload");
}

void Lane::reset_counters() {
  check(cudaMemsetAsync(counts_.data(), 0, counts_.bytes(), stream_.get()), "memset");
}

void Lane::results(int image, Detections& into) const {
  const int count = detection_counts_.as<std::int32_t>()[image];
  const RawDetection* const raw = detections_.as<RawDetection>() + static_cast<std::ptrdiff_t>(image) * kMaxDetections;
  into.clear();
  for (int i = 0; i < count; ++i)
    into.push_back({{raw[i].x1, raw[i].y1, raw[i].x2, raw[i].y2}, raw[i].confidence, raw[i].class_id});
}

void Lane::upload_planar(std::span<const float> pictures, std::size_t pixels) {
  const std::size_t images = pictures.size() / (pixels * 3);
  std::vector<__half> packed(images * pixels * 4, __half(0.0F));
  for (std::size_t i = 0; i < images; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < pixels; ++p)
        packed[(i * pixels + p) * 4 + c] = __float2half(pictures[(i * 3 + c) * pixels + p]);
  check(cudaMemcpyAsync(input_.data(), packed.data(), packed.size() * sizeof(__half), cudaMemcpyHostToDevice,
                        stream_.get()),
        "upload");
  check(cudaStreamSynchronize(stream_.get()), "upload");
}

}  // namespace gantry::cuda
