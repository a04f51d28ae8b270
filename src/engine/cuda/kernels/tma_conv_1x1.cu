#include "engine/cuda/kernels/tma_conv.cuh"

#include <array>

namespace gantry::cuda {

std::span<const TmaConvVariant> tma_conv_variants_1x1() noexcept {
  //                               K  S   BN MI warpgroups CK blocks
  static const std::array kVariants{
      tma_conv_variant<TmaTile<1, 1, 64, 1, 1, 64, 4>>("tma64x64"),
      tma_conv_variant<TmaTile<1, 1, 64, 2, 1, 64, 3>>("tma128x64"),
      tma_conv_variant<TmaTile<1, 1, 128, 2, 1, 64, 2>>("tma128x128"),
      tma_conv_variant<TmaTile<1, 1, 128, 1, 1, 64, 3>>("tma64x128"),
      tma_conv_variant<TmaTile<1, 1, 256, 1, 2, 64, 1>>("tma128x256"),
      tma_conv_variant<TmaTile<1, 1, 128, 2, 2, 64, 1>>("tma256x128"),
      tma_conv_variant<TmaTile<1, 1, 64, 2, 1, 32, 3>>("tma128x64/32"),
  };
  return kVariants;
}

}  // namespace gantry::cuda
