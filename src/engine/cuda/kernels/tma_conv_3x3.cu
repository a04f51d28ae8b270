#include "engine/cuda/kernels/tma_conv.cuh"

#include <array>

namespace gantry::cuda {

std::span<const TmaConvVariant> tma_conv_variants_3x3() noexcept {
  //                               K  S   BN MI warpgroups CK blocks tail pictures
  static const std::array kVariants{
      tma_conv_variant<TmaTile<3, 1, 32, 2, 1, 32, 3>>("tma128x32/32"),
      tma_conv_variant<TmaTile<3, 1, 32, 2, 1, 64, 3>>("tma128x32"),
      tma_conv_variant<TmaTile<3, 1, 64, 1, 1, 64, 2>>("tma64x64"),
      tma_conv_variant<TmaTile<3, 1, 64, 1, 1, 64, 2, false, 2>>("tma64x64i2"),
      tma_conv_variant<TmaTile<3, 1, 128, 1, 1, 64, 2, false, 2>>("tma64x128i2"),
      tma_conv_variant<TmaTile<3, 1, 128, 2, 1, 64, 2, false, 2>>("tma128x128i2"),
      tma_conv_variant<TmaTile<3, 1, 64, 2, 1, 64, 2>>("tma128x64"),
      tma_conv_variant<TmaTile<3, 1, 64, 2, 2, 64, 1>>("tma256x64"),
      tma_conv_variant<TmaTile<3, 1, 64, 2, 1, 32, 3>>("tma128x64/32"),
      tma_conv_variant<TmaTile<3, 1, 128, 2, 1, 64, 2>>("tma128x128"),
      tma_conv_variant<TmaTile<3, 1, 128, 2, 2, 64, 1>>("tma256x128"),
      tma_conv_variant<TmaTile<3, 1, 256, 1, 2, 64, 1>>("tma128x256"),
      tma_conv_variant<TmaTile<3, 1, 64, 2, 1, 64, 2, true>>("tma128x64+tail"),
      tma_conv_variant<TmaTile<3, 1, 64, 2, 2, 64, 1, true>>("tma256x64+tail"),
  };
  return kVariants;
}

}  // namespace gantry::cuda
