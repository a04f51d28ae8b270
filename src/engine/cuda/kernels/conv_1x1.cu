#include "engine/cuda/kernels/conv.cuh"

#include <array>

namespace gantry::cuda {

std::span<const ConvVariant> conv_variants_1x1() noexcept {
  //                                       K  S  TH  TW   BN  WM WN WK CK stages blocks
  static const std::array kVariants{
      conv_variant<ConvTile<1, 1, 1, 128, 32, 4, 1, 1, 32, 4, 4>>("128x32/32"),
      conv_variant<ConvTile<1, 1, 1, 128, 64, 2, 2, 1, 32, 4, 3>>("128x64/32"),
      conv_variant<ConvTile<1, 1, 1, 64, 64, 2, 2, 1, 64, 4, 3>>("64x64/64"),
      conv_variant<ConvTile<1, 1, 1, 128, 80, 4, 1, 1, 16, 4, 3>>("128x80/16"),
      conv_variant<ConvTile<1, 1, 1, 128, 128, 2, 4, 1, 32, 4, 2>>("128x128/32"),
      conv_variant<ConvTile<1, 1, 1, 32, 32, 1, 1, 4, 64, 4, 4>>("32x32/64k4"),
      conv_variant<ConvTile<1, 1, 1, 32, 64, 1, 2, 2, 64, 4, 2>>("32x64/64k2"),
      conv_variant<ConvTile<1, 1, 1, 32, 16, 2, 1, 2, 32, 4, 2>>("32x16/32k2"),
      conv_variant<WarpgroupTile<1, 1, 1, 128, 32, 1, 1, 1, 32, 4, 4>>("wg128x32/32"),
      conv_variant<WarpgroupTile<1, 1, 1, 128, 64, 1, 1, 1, 64, 3, 3>>("wg128x64/64"),
      conv_variant<WarpgroupTile<1, 1, 1, 64, 64, 1, 1, 1, 64, 4, 3>>("wg64x64/64"),
      conv_variant<WarpgroupTile<1, 1, 1, 128, 80, 1, 1, 1, 16, 4, 3>>("wg128x80/16"),
      conv_variant<WarpgroupTile<1, 1, 1, 128, 128, 1, 1, 1, 64, 3, 2>>("wg128x128/64"),
      conv_variant<WarpgroupTile<1, 1, 1, 64, 128, 1, 1, 1, 64, 4, 2>>("wg64x128/64"),
      conv_variant<WarpgroupTile<1, 1, 1, 256, 128, 2, 1, 1, 64, 3, 1>>("wg256x128/64"),
      conv_variant<WarpgroupTile<1, 1, 1, 128, 128, 1, 1, 1, 64, 3, 2, false, 1>>("wg128x128/64+1"),
      conv_variant<WarpgroupTile<1, 1, 1, 256, 128, 2, 1, 1, 64, 4, 1, false, 1>>("wg256x128/64+1"),
  };
  return kVariants;
}

}  // namespace gantry::cuda
