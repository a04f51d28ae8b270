#pragma once
// Dense convolution on tensor cores: what a launch needs, and the table of compiled tile variants. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cuda/kernels/launch.hpp"

namespace gantry::cuda {

/// A run of input channels. Where `upsample` the map is half as high and wide as the convolution sees it.
struct ConvSource {
  const __half* data = nullptr;  ///< first channel of pixel (0, 0) of image 0; 16-byte aligned
  int pitch = 0;                 ///< halves from one pixel to the next, a multiple of 8
  int upsample = 0;              ///< 0, or 1 for nearest-neighbour ×2
};

inline constexpr int kMaxConvSources = 4;

/// By value into the kernel. Channels are multiples of 8; input channels beyond `cin` count as zero.
struct ConvArgs {
  ConvSource sources[kMaxConvSources];
  int source_begin[kMaxConvSources] = {0, 1 << 30, 1 << 30, 1 << 30};  ///< first channel of each, multiples of CK
  int n = 0, h = 0, w = 0, cin = 0;                                    ///< as the convolution sees its input
  int oh = 0, ow = 0, cout = 0;
  __half* out = nullptr;
  int out_pitch = 0;
  __half* out2 = nullptr;  ///< where channels from `out_split` on go, for two convolutions of one input run as one
  int out2_pitch = 0;
  int out_split = 1 << 30;
  const __half* residual = nullptr;  ///< added after the activation; null for none
  int residual_pitch = 0;
  const __half* weights = nullptr;  ///< packed by pack_conv_weights
  const float* bias = nullptr;      ///< [packed width]
  int packed_cout = 0;              ///< cout rounded up to the variant's BN
  int silu = 0;
  // Variants with a tail only: out = W_tail·act(conv) + b_tail, a 1×1 without activation behind it, in the same kernel.
  const __half* tail_weights = nullptr;  ///< pack_conv_weights(…, taps = 1, bn = 16, group = 16)
  const float* tail_bias = nullptr;      ///< [tail_cout rounded up to 16]
  int tail_cout = 0;
  // Filled by launch_conv.
  int chunks = 0, tiles_x = 0, tiles_y = 0, tiles = 0, resident = 0;
};

/// One compiled kernel: an output tile of th × tw pixels (1×1: th·tw consecutive pixels) by bn channels, CK input
/// channels a pipeline stage.
struct ConvVariant {
  const char* name;
  int kernel, stride, th, tw, bn, ck, group, threads;
  std::size_t patch_bytes;   ///< a stage
  std::size_t weight_bytes;  ///< a stage
  std::size_t extra_bytes;   ///< bias, the reduction over wk, the tail's tile
  int stages;
  bool tail;
  bool warpgroup;  ///< needs compute capability 9.0; weights as core matrices
  void (*function)(ConvArgs);

  /// Shared memory of a block. Resident: the weights of all chunks stay; otherwise they stream with the input.
  [[nodiscard]] std::size_t shared_bytes(int chunks, bool resident, int tail_cout) const noexcept {
    const auto c = static_cast<std::size_t>(resident ? chunks : stages);
    const auto columns = static_cast<std::size_t>((tail_cout + 15) / 16);
    return patch_bytes * static_cast<std::size_t>(stages) + weight_bytes * c + extra_bytes +
           columns * static_cast<std::size_t>(bn / 16) * 512;
  }
};

[[nodiscard]] std::span<const ConvVariant> conv_variants_1x1() noexcept;
[[nodiscard]] std::span<const ConvVariant> conv_variants_3x3() noexcept;
[[nodiscard]] std::span<const ConvVariant> conv_variants_3x3s2() noexcept;
/// The variants of one kernel size and stride; empty where none is compiled.
[[nodiscard]] std::span<const ConvVariant> conv_variants(int kernel, int stride) noexcept;

/// Weights [cout][kh][kw][cin] float → the order in which mma fragments are read: [cin/16][tap][cout/16][lane][8], with
/// cin padded to a multiple of 64 and cout to a multiple of `bn`, by zeros. `group` (16 or 32) output channels are
/// permuted so that a thread ends up with 8 (or 4) neighbouring channels of a pixel.
/// `warpgroup`: as wgmma's core matrices instead, [cin/16][tap][cout/8][2][8 cout][8 cin].
[[nodiscard]] std::vector<__half> pack_conv_weights(const float* weights, int cout, int taps, int cin, int bn,
                                                    int group, bool warpgroup = false);
[[nodiscard]] constexpr int round_up(int value, int multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

/// Whether the variant can run these arguments at all (channels, source boundaries, shared memory).
[[nodiscard]] bool conv_fits(const ConvVariant& variant, const ConvArgs& args, bool resident) noexcept;
/// Asynchronous on `stream`. @pre conv_fits
cudaError_t launch_conv(const ConvVariant& variant, bool resident, ConvArgs args, const LaunchShape& shape,
                        cudaStream_t stream);

}  // namespace gantry::cuda
