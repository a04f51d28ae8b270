#include "engine/cuda/kernels/conv.cuh"

#include <array>

namespace gantry::cuda {

std::span<const ConvVariant> conv_variants_3x3s2() noexcept {
  //                                       K  S  TH  TW  BN  WM WN WK CK stages blocks
  static const std::array kVariants{
      conv_variant<ConvTile<3, 2, 8, 16, 32, 4, 1, 1, 16, 3, 3>>("8x16x32/16s2"),
      conv_variant<ConvTile<3, 2, 8, 16, 64, 2, 2, 1, 16, 3, 2>>("8x16x64/16s2"),
      conv_variant<ConvTile<3, 2, 4, 20, 64, 1, 4, 1, 32, 3, 1>>("4x20x64/32s2"),
      conv_variant<ConvTile<3, 2, 8, 16, 128, 2, 4, 1, 16, 3, 1>>("8x16x128/16s2"),
      conv_variant<ConvTile<3, 2, 4, 8, 32, 1, 1, 4, 32, 3, 2>>("4x8x32/32s2k4"),
      conv_variant<WarpgroupTile<3, 2, 8, 16, 32, 1, 1, 1, 16, 3, 2>>("wg8x16x32/16s2"),
      conv_variant<WarpgroupTile<3, 2, 8, 16, 64, 1, 1, 1, 16, 3, 2>>("wg8x16x64/16s2"),
      conv_variant<WarpgroupTile<3, 2, 8, 16, 64, 2, 1, 1, 16, 3, 1>>("wg8x16x64/16s2w2"),
      conv_variant<WarpgroupTile<3, 2, 16, 16, 64, 2, 1, 1, 16, 2, 1>>("wg16x16x64/16s2"),
      conv_variant<WarpgroupTile<3, 2, 8, 8, 64, 1, 1, 1, 16, 4, 2>>("wg8x8x64/16s2"),
      conv_variant<WarpgroupTile<3, 2, 8, 16, 128, 1, 1, 1, 16, 3, 1>>("wg8x16x128/16s2"),
      conv_variant<WarpgroupTile<3, 2, 16, 16, 128, 2, 1, 1, 16, 2, 1>>("wg16x16x128/16s2"),
      conv_variant<WarpgroupTile<3, 2, 6, 20, 64, 1, 1, 1, 16, 3, 2>>("wg6x20x64/16s2"),
      conv_variant<WarpgroupTile<3, 2, 6, 20, 128, 1, 1, 1, 16, 3, 1>>("wg6x20x128/16s2"),
      conv_variant<WarpgroupTile<3, 2, 12, 20, 128, 2, 1, 1, 16, 2, 1>>("wg12x20x128/16s2"),
      conv_variant<WarpgroupTile<3, 2, 8, 8, 32, 1, 1, 2, 32, 3, 1>>("wg8x8x32/32s2k2"),
  };
  return kVariants;
}

}  // namespace gantry::cuda
