// Decode and NMS against a plain reference, on a GPU or as source on the CPU (simt/simt.hpp).
#include <array>
#include <memory>

#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/detect.hpp"

namespace gantry::cuda::test {
namespace {

class DetectKernel : public GpuTest {};

/// The reference detector of one image: every anchor's best class, DFL, greedy NMS of the best kMaxCandidates. Boxes
/// are compared with those that the card `decoded`, which NMS then takes: rounding must not decide who overlaps.
std::vector<RawDetection> detect_ref(const std::vector<std::vector<__half>>& boxes,
                                     const std::vector<std::vector<__half>>& classes,
                                     const std::array<std::array<int, 2>, 3>& maps, int image, int class_count,
                                     const std::vector<std::uint32_t>& masks, const DetectLimits& limits,
                                     const float4* decoded) {
  struct Candidate {
    float logit;
    int anchor;
    RawDetection detection;
  };
  std::vector<Candidate> candidates;
  const int pitch = round_up(class_count, 8), words = (class_count + 31) / 32;
  int anchor = 0;
  for (std::size_t l = 0; l < 3; ++l) {
    const int cells = maps[l][0] * maps[l][1];
    const float stride = 8.0F * static_cast<float>(1 << l);
    for (int cell = 0; cell < cells; ++cell, ++anchor) {
      const std::size_t pixel = static_cast<std::size_t>(image) * cells + cell;
      int id = 0;
      for (int c = 1; c < class_count; ++c)
        if (__half2float(classes[l][pixel * pitch + c]) > __half2float(classes[l][pixel * pitch + id])) id = c;
      const float logit = __half2float(classes[l][pixel * pitch + id]), score = 1.0F / (1.0F + std::exp(-logit));
      if (!(score > limits.confidence) || (masks[image * words + id / 32] >> (id % 32) & 1U) == 0) continue;
      double d[4];
      for (int side = 0; side < 4; ++side) {
        double total = 0, sum = 0;
        for (int b = 0; b < 16; ++b) {
          const double e = std::exp(static_cast<double>(__half2float(boxes[l][pixel * 64 + side * 16 + b])));
          total += e, sum += e * b;
        }
        d[side] = sum / total;
      }
      const double x = cell % maps[l][1] + 0.5, y = cell / maps[l][1] + 0.5;
      const float4& box = decoded[anchor];
      EXPECT_NEAR(box.x, (x - d[0]) * stride, 0.01) << anchor;
      EXPECT_NEAR(box.y, (y - d[1]) * stride, 0.01) << anchor;
      EXPECT_NEAR(box.z, (x + d[2]) * stride, 0.01) << anchor;
      EXPECT_NEAR(box.w, (y + d[3]) * stride, 0.01) << anchor;
      candidates.push_back({logit, anchor, {box.x, box.y, box.z, box.w, score, id}});
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.anchor < b.anchor;
  });
  if (candidates.size() > kMaxCandidates) candidates.resize(kMaxCandidates);
  std::vector<RawDetection> kept;
  for (const Candidate& c : candidates) {
    if (kept.size() >= static_cast<std::size_t>(limits.max_detections)) break;
    const RawDetection& a = c.detection;
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](const RawDetection& b) {
      if (!limits.agnostic && a.class_id != b.class_id) return false;
      const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
      if (w <= 0 || h <= 0) return false;
      const float both = w * h;
      return both / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - both) > limits.iou;
    });
    if (!suppressed) kept.push_back(a);
  }
  return kept;
}

struct HeadCase {
  int n, classes;
  float base;   // class logits are around this
  int objects;  // anchors that are raised
  DetectLimits limits;
};

TEST_F(DetectKernel, DecodeAndNmsMatchTheReference) {
  const HeadCase cases[] = {
      {2, 80, -9, 100, {0.25F, 0.7F, 300, 0}},  {1, 4, -9, 40, {0.25F, 0.45F, 300, 0}},
      {1, 1, -9, 0, {0.25F, 0.7F, 300, 0}},     {3, 80, -9, 500, {0.25F, 0.5F, 50, 1}},
      {1, 80, 1, 300, {0.25F, 0.7F, 300, 0}},    // every anchor a candidate
      {2, 3, 1, 300, {0.25F, 0.3F, 1024, 1}},    // and few survive: several rounds
      {1, 6, -9, 2500, {0.25F, 0.6F, 1024, 0}},  // more than a round, fewer than NMS takes
  };
  for (const HeadCase& c : cases) {
    const std::array<std::array<int, 2>, 3> maps{{{48, 80}, {24, 40}, {12, 20}}};
    const int pitch = round_up(c.classes, 8), n = c.n;
    Values values(static_cast<std::uint64_t>(c.objects + c.classes));
    std::mt19937 pick(7);
    DetectArgs args;
    args.level_count = 3, args.n = n, args.classes = c.classes;
    std::vector<std::vector<__half>> boxes, classes;
    std::vector<std::unique_ptr<Guarded<__half>>> device;
    for (int l = 0; l < 3; ++l) {
      const int cells = maps[l][0] * maps[l][1];
      boxes.push_back(values.halves(static_cast<std::size_t>(n) * cells * 64, -3, 3));
      classes.push_back(values.halves(static_cast<std::size_t>(n) * cells * pitch, c.base - 1, c.base + 1));
      for (int i = 0; i < n * c.objects / 3; ++i)
        classes[l][(pick() % (static_cast<unsigned>(n) * cells)) * pitch + pick() % c.classes] =
            __float2half(static_cast<float>(pick() % 4000) / 1000.0F - 1.0F);
      device.push_back(std::make_unique<Guarded<__half>>(boxes[l]));
      device.push_back(std::make_unique<Guarded<__half>>(classes[l]));
      args.levels[l] = {device[2 * l]->data(),
                        device[2 * l + 1]->data(),
                        64,
                        pitch,
                        maps[l][0],
                        maps[l][1],
                        8.0F * static_cast<float>(1 << l),
                        args.anchors};
      args.anchors += cells;
    }
    std::vector<std::uint32_t> masks(static_cast<std::size_t>(n) * ((c.classes + 31) / 32), 0xffffffffU);
    if (c.classes > 32) masks[1] = 0x0000ffffU;  // image 0 wants only some of the classes 32…63
    Guarded<DetectLimits> limits(std::vector<DetectLimits>(static_cast<std::size_t>(n), c.limits));
    Guarded<std::uint32_t> d_masks(masks);
    const std::size_t total = static_cast<std::size_t>(n) * args.anchors;
    Guarded<std::uint64_t> keys(total);
    Guarded<float4> d_boxes(total);
    Guarded<std::int32_t> ids(total), counts(std::vector<std::int32_t>(static_cast<std::size_t>(n), 0)),
        found(static_cast<std::size_t>(n));
    Guarded<RawDetection> detections(static_cast<std::size_t>(n) * kMaxDetections);
    args.limits = limits.data(), args.class_masks = d_masks.data(), args.keys = keys.data(),
    args.boxes = d_boxes.data();
    args.ids = ids.data(), args.counts = counts.data(), args.detections = detections.data(),
    args.detection_counts = found.data();
    Guarded<NmsRound> round(static_cast<std::size_t>(n));
    args.round = round.data();
    std::vector<RawDetection> first;
    for (int run = 0; run < 2; ++run) {
      check(launch_decode(args, launch_shape(), nullptr), "decode");
      check(launch_rank(args, launch_shape(), nullptr), "rank");
      check(launch_nms(args, launch_shape(), nullptr), "nms");
      check(cudaDeviceSynchronize(), "decode + nms");
      const auto got = detections.download();
      const auto number = found.download();
      std::vector<RawDetection> flat;
      for (int i = 0; i < n; ++i)
        flat.insert(flat.end(), got.begin() + static_cast<long>(i) * kMaxDetections,
                    got.begin() + static_cast<long>(i) * kMaxDetections + number[i]);
      if (run == 1) {
        ASSERT_EQ(first.size(), flat.size());
        EXPECT_EQ(std::memcmp(first.data(), flat.data(), flat.size() * sizeof(RawDetection)), 0) << "two runs differ";
      }
      first = flat;
    }
    keys.verify("keys"), d_boxes.verify("boxes"), ids.verify("ids"), round.verify("round"),
        detections.verify("detections"), found.verify("counts");
    for (const std::int32_t left : counts.download()) EXPECT_EQ(left, 0);

    std::size_t at = 0;
    const auto decoded = d_boxes.download();
    for (int image = 0; image < n; ++image) {
      const auto want = detect_ref(boxes, classes, maps, image, c.classes, masks, c.limits,
                                   &decoded[static_cast<std::size_t>(image) * args.anchors]);
      ASSERT_EQ(found.download()[static_cast<std::size_t>(image)], static_cast<int>(want.size()))
          << "image " << image << " of " << c.classes;
      for (const RawDetection& w : want) {
        const RawDetection& g = first[at++];
        ASSERT_EQ(g.class_id, w.class_id);
        ASSERT_NEAR(g.confidence, w.confidence, 1e-5);
        ASSERT_EQ(g.x1, w.x1);
        ASSERT_EQ(g.y1, w.y1);
        ASSERT_EQ(g.x2, w.x2);
        ASSERT_EQ(g.y2, w.y2);
      }
    }
  }
}

}  // namespace
}  // namespace gantry::cuda::test
