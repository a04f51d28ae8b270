#include <cuda.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "engine/cuda/kernels/tma_conv_params.hpp"

namespace gantry::cuda {

namespace {

constexpr std::size_t kSharedOfMultiprocessor = 228 * 1024, kSharedOfBlock = 227 * 1024, kReserved = 1024;

bool upsamples(const ConvArgs& args) {
  return std::any_of(std::begin(args.sources), std::end(args.sources),
                     [](const ConvSource& s) { return s.upsample != 0; });
}
int sources_of(const ConvArgs& args) {
  int count = 1;
  while (count < kMaxConvSources && args.source_begin[count] < args.cin) ++count;
  return count;
}

int steps_of(const TmaConvVariant& v, int chunks) {
  return chunks * v.kernel * v.kernel / v.step_taps;
}
std::size_t tail_weight_bytes(const TmaConvVariant& v, int tail_cout) {
  return static_cast<std::size_t>((tail_cout + 15) / 16) * static_cast<std::size_t>(v.bn / 16) * 512;
}

/// How a block's shared memory is divided.
struct Slots {
  int slabs = 0, steps = 0;
  std::size_t bytes = 0;
};
std::optional<Slots> divide(const TmaConvVariant& v, int chunks, int tail_cout) {
  constexpr std::size_t kBarriers = 2 * sizeof(std::uint64_t);  // a slot
  constexpr int kMaxSlabs = 8;
  const std::size_t slab = v.slab_bytes + kBarriers, step = v.step_bytes + kBarriers;
  const std::size_t fixed =
      static_cast<std::size_t>(v.bn) * sizeof(float) + v.tail_bytes + tail_weight_bytes(v, tail_cout);
  const std::size_t limit =
      std::min(kSharedOfBlock, kSharedOfMultiprocessor / static_cast<std::size_t>(v.blocks) - kReserved);
  if (fixed >= limit) return std::nullopt;
  const std::size_t room = limit - fixed;
  const auto fit = [](std::size_t bytes, std::size_t of) { return static_cast<int>(bytes / of); };
  const int steps = steps_of(v, chunks);
  const auto all = static_cast<std::size_t>(steps) * step;
  Slots slots;
  // All weights stay where two slabs still fit beside them; otherwise as many steps as the slabs ahead consume.
  if (all + 2 * slab <= room) {
    slots.steps = steps;
    slots.slabs = std::min(kMaxSlabs, fit(room - all, slab));
  } else {
    const std::size_t round = slab + static_cast<std::size_t>(v.kernel / v.step_taps) * step;
    slots.slabs = std::clamp(fit(room, round), 2, kMaxSlabs);
    const std::size_t used = static_cast<std::size_t>(slots.slabs) * slab;
    if (used + 2 * step > room) return std::nullopt;
    slots.steps = std::min(steps - 1, fit(room - used, step));
    if (slots.steps < 2) return std::nullopt;
  }
  slots.bytes = static_cast<std::size_t>(slots.slabs) * slab + static_cast<std::size_t>(slots.steps) * step + fixed;
  return slots;
}

using EncodeTiled = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                 const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                 CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
/// The driver's function, so that nothing links against the driver; null where it has none.
EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
    return error == cudaSuccess && result == cudaDriverEntryPointSuccess ? reinterpret_cast<EncodeTiled>(found)
                                                                         : nullptr;
  }();
  return function;
}

/// Describes source `i` to the copy engine: channels, then four dimensions that depend on how its pixels are read.
bool describe_source(const TmaConvVariant& v, const ConvArgs& a, int i, bool flat, CUtensorMap& map) {
  const ConvSource& source = a.sources[i];
  const int end = i + 1 < kMaxConvSources ? std::min(a.source_begin[i + 1], a.cin) : a.cin;
  const auto channels = static_cast<cuuint64_t>(end - a.source_begin[i]);
  const auto n = static_cast<cuuint64_t>(a.n), h = static_cast<cuuint64_t>(a.h), w = static_cast<cuuint64_t>(a.w);
  const cuuint64_t pixel = static_cast<cuuint64_t>(source.pitch) * sizeof(__half);
  const auto ck = static_cast<cuuint32_t>(v.ck);
  cuuint64_t dims[5] = {channels, 1, w, h, n}, strides[4] = {pixel, pixel, pixel * w, pixel * w * h};
  cuuint32_t box[5] = {ck, 1, 8, static_cast<cuuint32_t>(v.kernel == 1 ? 8 : 7 * v.stride + 3), 1};
  const cuuint32_t every[5] = {1, 1, 1, 1, 1};
  if (flat) {
    dims[2] = n * h * w, dims[3] = dims[4] = 1;
    strides[2] = strides[3] = pixel * dims[2];
    box[2] = 64, box[3] = 1;
  } else if (source.upsample != 0) {
    // Every pixel twice in both directions: dimensions of two that do not move.
    dims[1] = dims[3] = 2, dims[2] = w / 2, dims[4] = n * h / 2;
    strides[0] = strides[2] = 0, strides[1] = pixel, strides[3] = pixel * (w / 2);
    box[1] = box[3] = 2, box[2] = box[4] = 4;
  } else if (v.images == 2) {
    // Rows of two pictures in turn.
    dims[3] = n, dims[4] = h;
    strides[2] = pixel * w * h, strides[3] = pixel * w;
    box[3] = 2, box[4] = 6;
  } else if (v.stride == 2) {
    dims[1] = 2, dims[2] = w / 2;  // odd and even columns
    strides[1] = pixel * 2;
  }
  return encode_tiled()(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 5, const_cast<__half*>(source.data), dims, strides, box,
                        every, CU_TENSOR_MAP_INTERLEAVE_NONE,
                        v.ck == 64 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
                        v.ck == 64 ? CU_TENSOR_MAP_L2_PROMOTION_L2_128B : CU_TENSOR_MAP_L2_PROMOTION_L2_64B,
                        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace

std::span<const TmaConvVariant> tma_conv_variants(int kernel, int stride) noexcept {
  if (kernel == 1 && stride == 1) return tma_conv_variants_1x1();
  if (kernel == 3 && stride == 1) return tma_conv_variants_3x3();
  if (kernel == 3 && stride == 2) return tma_conv_variants_3x3s2();
  return {};
}

std::vector<__half> pack_tma_weights(const float* weights, int cout, int kernel, int cin, int bn, int ck) {
  const int columns = round_up(cout, bn), chunks = round_up(cin, ck) / ck, taps = kernel * kernel;
  std::vector<__half> packed(static_cast<std::size_t>(columns) * chunks * taps * ck, __half(0.0F));
  __half* step = packed.data();
  for (int n0 = 0; n0 < columns; n0 += bn)
    for (int chunk = 0; chunk < chunks; ++chunk)
      for (int x = 0; x < kernel; ++x)
        for (int y = 0; y < kernel; ++y, step += static_cast<std::ptrdiff_t>(bn) * ck)
          for (int n = 0; n < bn; ++n) {
            const int tile = n / 8, column = n % 8;
            const int channel = n0 + tile / 4 * 32 + column / 2 * 8 + tile % 4 * 2 + column % 2;
            if (channel >= cout) continue;
            const float* const row = weights + (static_cast<std::size_t>(channel) * taps + y * kernel + x) * cin;
            const int phase = ck == 64 ? n % 8 : n / 2 % 4;
            for (int k = 0; k < ck && chunk * ck + k < cin; ++k)
              step[n * ck + ((k / 8) ^ phase) * 8 + k % 8] = __float2half(row[chunk * ck + k]);
          }
  return packed;
}

bool tma_conv_fits(const TmaConvVariant& variant, const ConvArgs& args) noexcept {
  if (args.cin % 8 != 0 || args.cout % 8 != 0) return false;
  if (variant.tail != (args.tail_cout > 0) || (variant.tail && (args.cout != variant.bn || args.residual_pitch != 0)))
    return false;
  for (const int begin : args.source_begin)
    if (begin < args.cin && begin % variant.ck != 0) return false;
  if (args.out_split < args.cout && args.out_split % 32 != 0) return false;
  if (variant.stride == 2 && args.w % 2 != 0) return false;
  if (upsamples(args) && (variant.kernel != 1 || args.h % 2 != 0 || args.w % 2 != 0)) return false;
  return divide(variant, round_up(args.cin, variant.ck) / variant.ck, args.tail_cout).has_value();
}

cudaError_t launch_tma_conv(const TmaConvVariant& variant, const ConvArgs& args, const LaunchShape& shape,
                            cudaStream_t stream) {
  if (encode_tiled() == nullptr) return cudaErrorNotSupported;
  TmaConvParams p{};
  p.conv = args;
  p.chunks = round_up(args.cin, variant.ck) / variant.ck;
  p.slabs = p.chunks * variant.kernel, p.steps = steps_of(variant, p.chunks);
  const bool flat = variant.kernel == 1 && !upsamples(args);
  p.flat = flat ? 1 : 0;
  p.units_x = p.units_y = 1;
  int units = 0;
  if (flat) {
    units = (args.n * args.h * args.w + 63) / 64;
  } else {
    const int rows = 8 / variant.images;
    p.units_x = (args.ow + 7) / 8, p.units_y = (args.oh + rows - 1) / rows;
    units = (args.n + variant.images - 1) / variant.images * p.units_x * p.units_y;
  }
  p.tiles = (units + variant.units - 1) / variant.units;
  for (int i = 0; i < sources_of(args); ++i)
    if (!describe_source(variant, args, i, flat, p.maps[i])) return cudaErrorNotSupported;
  const Slots slots = divide(variant, p.chunks, args.tail_cout).value();
  p.tail_bytes = static_cast<int>(tail_weight_bytes(variant, args.tail_cout));
  p.slab_slots = slots.slabs, p.step_slots = slots.steps;
  if (const cudaError_t error = allow_shared(variant.function, slots.bytes); error != cudaSuccess) return error;
  const int columns = round_up(args.cout, variant.bn) / variant.bn;
  const int blocks = std::min(p.tiles, std::max(1, shape.multiprocessors * variant.blocks / columns));
  return launch_grid(variant.function, p, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(columns)),
                     variant.threads, slots.bytes, shape, stream);
}

}  // namespace gantry::cuda
