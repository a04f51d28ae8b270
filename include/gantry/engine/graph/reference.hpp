#pragma once
// What each fused op computes, in plain float32 on one image: the gold of the GPU's kernels and the steps of the
// CpuExecutor. Pure functions; thread-safe. A result never depends on other images or on where in memory a map lies.
#include <cstddef>
#include <span>
#include <vector>

#include "gantry/core/detection.hpp"
#include "gantry/engine/graph/plan.hpp"
#include "gantry/vision/head.hpp"
#include "gantry/vision/nms.hpp"

namespace gantry::graph {

/// Some channels of one image's map, channels-last: channel c of pixel (y, x) is data[(y * width + x) * pitch + c].
template <typename T>
struct BasicMap {
  T* data = nullptr;
  int height = 0, width = 0;  ///< as stored
  int channels = 0;
  std::ptrdiff_t pitch = 0;  ///< elements from one pixel to the next
  int upsample = 1;          ///< 2: readers see it twice as large, pixel (y, x) is (y / 2, x / 2)

  [[nodiscard]] T* at(int y, int x) const noexcept { return data + (std::ptrdiff_t{y} * width + x) * pitch; }
  operator BasicMap<const T>() const noexcept { return {data, height, width, channels, pitch, upsample}; }  // NOLINT
};
using Map = BasicMap<float>;
using ConstMap = BasicMap<const float>;

/// act(conv(inputs) + bias) + residual, plain or depthwise. The inputs' channels follow each other. `residual` is null
/// exactly where op.residual is empty. `out` overlaps nothing.
void conv_reference(const ConvOp& op, std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out);

/// outputs[0] = pool(in), outputs[i] = pool(outputs[i - 1]). @pre outputs.size() == op.stages
void pool_chain_reference(const PoolChainOp& op, const ConstMap& in, std::span<const Map> outputs);

void max_pool_reference(const MaxPoolOp& op, const ConstMap& in, const Map& out);

void attention_reference(const AttentionOp& op, const ConstMap& in, const Map& out);

void add_reference(const ConstMap& a, const ConstMap& b, const Map& out);

/// Resolves the input's upsample.
void copy_reference(const ConstMap& in, const Map& out);

/// Candidates above the threshold in pixels of the network's input, in the order of levels, rows, columns. `maps` as in
/// DetectOp: boxes of all levels, then classes of all levels.
void decode_reference(const DetectOp& op, std::span<const ConstMap> maps, const vision::CandidateOptions& options,
                      std::vector<Detection>& out);

/// decode_reference, then class-wise NMS: what DetectOp answers for one image, in pixels of the network's input.
[[nodiscard]] Detections detect_reference(const DetectOp& op, std::span<const ConstMap> maps,
                                          const vision::CandidateOptions& options, const vision::NmsOptions& nms);

}  // namespace gantry::graph
