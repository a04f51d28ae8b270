#include "engine/cuda/kernels/conv.hpp"

#include <algorithm>

namespace gantry::cuda {

namespace {
constexpr std::size_t kMaxSharedBytes = 227 * 1024;
}

std::span<const ConvVariant> conv_variants(int kernel, int stride) noexcept {
  if (kernel == 1 && stride == 1) return conv_variants_1x1();
  if (kernel == 3 && stride == 1) return conv_variants_3x3();
  if (kernel == 3 && stride == 2) return conv_variants_3x3s2();
  return {};
}

std::vector<__half> pack_conv_weights(const float* weights, int cout, int taps, int cin, int bn, int group,
                                      bool warpgroup) {
  const int rows = round_up(cin, 64) / 16, columns = round_up(cout, bn) / 16;
  std::vector<__half> packed(static_cast<std::size_t>(rows) * taps * columns * 256, __half(0.0F));
  std::size_t at = 0;
  for (int c16 = 0; c16 < rows; ++c16)
    for (int tap = 0; tap < taps; ++tap)
      for (int n16 = 0; n16 < columns; ++n16)
        for (int i = 0; i < 256; ++i, ++at) {
          int k = 0, column = 0, tile = 0;
          if (warpgroup) {
            tile = n16 * 2 + i / 128, column = i / 8 % 8, k = i / 64 % 2 * 8 + i % 8;
          } else {
            // Lane i / 8 holds, of each of two mma tiles, two registers of two halves of B's fragment.
            const int lane = i / 8, e = i % 8;
            tile = n16 * 2 + e / 4, column = lane / 4, k = lane % 4 * 2 + e / 2 % 2 * 8 + e % 2;
          }
          const int tiles = group / 8, c = c16 * 16 + k;
          const int channel = tile / tiles * group + column / 2 * (tiles * 2) + tile % tiles * 2 + column % 2;
          if (c < cin && channel < cout)
            packed[at] = __float2half(weights[(static_cast<std::size_t>(channel) * taps + tap) * cin + c]);
        }
  return packed;
}

bool conv_fits(const ConvVariant& variant, const ConvArgs& args, bool resident) noexcept {
  if (args.cin % 8 != 0 || args.cout % 8 != 0) return false;
  if (variant.tail != (args.tail_cout > 0) || (variant.tail && args.cout != variant.bn)) return false;
  for (const int begin : args.source_begin)
    if (begin < args.cin && begin % variant.ck != 0) return false;
  const int chunks = (args.cin + variant.ck - 1) / variant.ck;
  if (args.out_split < args.cout && args.out_split % variant.group != 0) return false;
  return variant.shared_bytes(chunks, resident, args.tail_cout) <= kMaxSharedBytes;
}

cudaError_t launch_conv(const ConvVariant& variant, bool resident, ConvArgs args, const LaunchShape& shape,
                        cudaStream_t stream) {
  args.chunks = (args.cin + variant.ck - 1) / variant.ck;
  args.resident = resident ? 1 : 0;
  args.packed_cout = round_up(args.cout, variant.bn);
  if (variant.kernel == 1) {
    args.tiles = (args.n * args.h * args.w + variant.tw - 1) / variant.tw;
  } else {
    args.tiles_x = (args.ow + variant.tw - 1) / variant.tw;
    args.tiles_y = (args.oh + variant.th - 1) / variant.th;
    args.tiles = args.n * args.tiles_x * args.tiles_y;
  }
  const std::size_t bytes = variant.shared_bytes(args.chunks, resident, args.tail_cout);
  const int columns = args.packed_cout / variant.bn;
  return launch_persistent(variant.function, args, args.tiles, columns, variant.threads, bytes, shape, stream);
}

}  // namespace gantry::cuda
