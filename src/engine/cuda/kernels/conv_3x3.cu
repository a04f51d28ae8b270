#include "engine/cuda/kernels/conv.cuh"

#include <array>

namespace gantry::cuda {

std::span<const ConvVariant> conv_variants_3x3() noexcept {
  //                                       K  S  TH  TW  BN  WM WN WK CK stages blocks
  static const std::array kVariants{
      conv_variant<ConvTile<3, 1, 8, 16, 16, 4, 1, 1, 16, 3, 4>>("8x16x16/16"),
      conv_variant<ConvTile<3, 1, 8, 16, 32, 4, 1, 1, 32, 3, 2>>("8x16x32/32"),
      conv_variant<ConvTile<3, 1, 8, 16, 64, 2, 2, 1, 32, 3, 2>>("8x16x64/32"),
      conv_variant<ConvTile<3, 1, 4, 20, 64, 1, 4, 1, 32, 3, 2>>("4x20x64/32"),
      conv_variant<ConvTile<3, 1, 16, 16, 128, 4, 2, 1, 16, 3, 1>>("16x16x128/16"),
      conv_variant<ConvTile<3, 1, 4, 8, 32, 1, 1, 4, 32, 3, 2>>("4x8x32/32k4"),
      conv_variant<ConvTile<3, 1, 8, 8, 64, 2, 2, 2, 32, 3, 1>>("8x8x64/32k2"),
      conv_variant<ConvTile<3, 1, 8, 16, 64, 4, 1, 1, 32, 3, 2, true>>("8x16x64/32+tail"),
      conv_variant<ConvTile<3, 1, 8, 8, 64, 4, 1, 1, 32, 3, 2, true>>("8x8x64/32+tail"),
      conv_variant<WarpgroupTile<3, 1, 8, 16, 16, 1, 1, 1, 16, 3, 4>>("wg8x16x16/16"),
      conv_variant<WarpgroupTile<3, 1, 8, 16, 32, 1, 1, 1, 16, 3, 3>>("wg8x16x32/16"),
      conv_variant<WarpgroupTile<3, 1, 8, 16, 64, 1, 1, 1, 32, 2, 2>>("wg8x16x64/32"),
      conv_variant<WarpgroupTile<3, 1, 16, 16, 64, 2, 1, 1, 32, 2, 1>>("wg16x16x64/32"),
      conv_variant<WarpgroupTile<3, 1, 8, 8, 64, 1, 1, 1, 32, 3, 2>>("wg8x8x64/32"),
      conv_variant<WarpgroupTile<3, 1, 8, 16, 128, 1, 1, 1, 16, 3, 1>>("wg8x16x128/16"),
      conv_variant<WarpgroupTile<3, 1, 16, 16, 128, 2, 1, 1, 16, 3, 1>>("wg16x16x128/16"),
      conv_variant<WarpgroupTile<3, 1, 6, 20, 64, 1, 1, 1, 32, 2, 2>>("wg6x20x64/32"),
      conv_variant<WarpgroupTile<3, 1, 6, 20, 128, 1, 1, 1, 16, 3, 1>>("wg6x20x128/16"),
      conv_variant<WarpgroupTile<3, 1, 8, 8, 32, 1, 1, 2, 32, 3, 2>>("wg8x8x32/32k2"),
      conv_variant<WarpgroupTile<3, 1, 8, 16, 64, 1, 1, 1, 32, 2, 2, true>>("wg8x16x64/32+tail"),
      conv_variant<WarpgroupTile<3, 1, 8, 8, 64, 1, 1, 1, 32, 2, 2, true>>("wg8x8x64/32+tail"),
  };
  return kVariants;
}

}  // namespace gantry::cuda
