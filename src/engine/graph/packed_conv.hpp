#pragma once
// A plain convolution as an implicit matrix product, register-blocked: 6 pixels by 16 output channels at a time.
#include <memory>
#include <span>
#include <vector>

#include "gantry/engine/graph/reference.hpp"

namespace gantry::graph {

/// Weights packed for the kernels below. Each output pixel is summed in the same order wherever it lies, so results are
/// independent of batch and tile.
class PackedConv {
 public:
  explicit PackedConv(const ConvOp& op);
  void run(std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) const;

 private:
  void run_plain(std::span<const ConstMap> inputs, const Map& out) const;
  void run_depthwise(const ConstMap& in, const Map& out) const;

  ConvOp op_;
  int blocks_ = 0;              ///< of 16 output channels
  std::vector<float> weights_;  ///< plain: [block][tap][in][16]; depthwise: [tap][channel]
  std::vector<float> bias_;     ///< padded to whole blocks
};

}  // namespace gantry::graph
