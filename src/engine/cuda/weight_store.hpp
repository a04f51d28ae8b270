#pragma once
// A model's parameters on the card, in the layouts that the chosen kernels read. Packed and uploaded when first asked
// for, kept for the model's lifetime, shared by all plans.
#include <cuda_fp16.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/cuda/device.hpp"
#include "gantry/engine/graph/plan.hpp"

namespace gantry::cuda {

struct PackedWeights {
  const __half* weights = nullptr;
  const float* bias = nullptr;
};
struct FloatWeights {
  const float* weights = nullptr;
  const float* bias = nullptr;
};

/// Thread-safe. All functions throw DeviceError where the card is full.
class WeightStore {
 public:
  using Layers = std::vector<std::shared_ptr<const graph::Weights>>;

  /// One dense convolution, or several of the same input side by side; for the conv and bottleneck kernels.
  PackedWeights conv(const Layers& layers, int bn, int group, bool warpgroup);
  /// The same for the tma_conv kernels.
  PackedWeights tma_conv(const Layers& layers, int bn, int ck);
  PackedWeights stem(const graph::Weights& layer);
  /// Depthwise 3×3 as halves [9][channels rounded up to 32].
  PackedWeights depthwise(const graph::Weights& layer);
  /// As floats: [out][k][k][in], depthwise [k·k][channels].
  FloatWeights plain(const graph::Weights& layer, bool depthwise);
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Joined {
    std::vector<float> values, bias;
  };
  static Joined join(const Layers& layers);
  struct Entry {
    DeviceBuffer weights, bias;
  };
  template <typename Make>
  const Entry& entry(const std::string& key, Make&& make);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace gantry::cuda
