#pragma once
// Dense convolution for compute capability 9.0: bulk tensor copies feed tensor cores that read both operands from
// shared memory. What the large layers run on; small maps and few channels stay with conv.hpp. Host-side header.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <vector>

#include "engine/cuda/kernels/conv.hpp"

namespace gantry::cuda {

struct TmaConvParams;

/// One compiled kernel. A tile is `units` units of 64 output pixels (8×8, or 8×4 of two pictures, or 64 in a row where
/// the convolution is 1×1 without upsampling) by bn channels. The input comes in slabs: `ck` channels of all units as
/// one column of taps sees them; the weights come in steps of one tap or one column of taps.
struct TmaConvVariant {
  const char* name;
  int kernel, stride, bn, ck, images, units, threads, blocks;
  std::size_t slab_bytes;  ///< a slot of the input's ring
  int step_taps;           ///< of a step of weights
  std::size_t step_bytes;  ///< a slot of the weights' ring
  bool tail;               ///< a 1×1 without activation follows in the same kernel; cout is bn then
  std::size_t tail_bytes;  ///< the tile between them
  void (*function)(TmaConvParams);
};

[[nodiscard]] std::span<const TmaConvVariant> tma_conv_variants_1x1() noexcept;
[[nodiscard]] std::span<const TmaConvVariant> tma_conv_variants_3x3() noexcept;
[[nodiscard]] std::span<const TmaConvVariant> tma_conv_variants_3x3s2() noexcept;
/// The variants of one kernel size and stride; empty where none is compiled.
[[nodiscard]] std::span<const TmaConvVariant> tma_conv_variants(int kernel, int stride) noexcept;

/// Weights [cout][k][k][cin] float → [cout / bn][cin / ck][k columns][k rows][bn][ck] halves, cin and cout padded with
/// zeros, output channels permuted in groups of 32 as pack_conv_weights does, 16-byte units swizzled as wgmma reads
/// them.
[[nodiscard]] std::vector<__half> pack_tma_weights(const float* weights, int cout, int kernel, int cin, int bn, int ck);

/// Whether the variant can run these arguments at all (channels, source boundaries, even width at stride 2).
[[nodiscard]] bool tma_conv_fits(const TmaConvVariant& variant, const ConvArgs& args) noexcept;
/// Asynchronous on `stream`. Weights packed by pack_tma_weights. cudaErrorNotSupported where the driver can't describe
/// the maps to the copy engine. @pre tma_conv_fits
cudaError_t launch_tma_conv(const TmaConvVariant& variant, const ConvArgs& args, const LaunchShape& shape,
                            cudaStream_t stream);

}  // namespace gantry::cuda
