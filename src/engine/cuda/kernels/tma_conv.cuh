#pragma once
// The template of tma_conv.hpp's kernels. Included by the .cu files that instantiate it, one a kernel size.
#include "engine/cuda/kernels/bulk_copy.cuh"
#include "engine/cuda/kernels/tail.cuh"
#include "engine/cuda/kernels/tma_conv_params.hpp"
#include "engine/cuda/kernels/wgmma_shared.cuh"

namespace gantry::cuda {

/// A unit is 8 / IMAGES rows of IMAGES pictures, 8 pixels each (two pictures leave less idle where maps are 20 pixels
/// high). MI units a warpgroup, GROUPS warpgroups, BN output channels, CK input channels a slab.
template <int K_, int S_, int BN_, int MI_, int GROUPS_, int CK_, int BLOCKS_, bool TAIL_ = false, int IMAGES_ = 1>
struct TmaTile {
  static constexpr int K = K_, S = S_, BN = BN_, MI = MI_, CK = CK_, NI = BN / 8;
  static constexpr int kWarps = GROUPS_ * 4, kThreads = kWarps * 32 + 64, kMinBlocks = BLOCKS_;
  static constexpr int kUnits = MI * GROUPS_;
  // A row of shared memory is a pixel; eight rows, neighbours along x, are what wgmma calls a group. A column of taps
  // needs whole groups above and below: each tap is a multiple of groups away, which keeps the swizzle in phase.
  static constexpr int kRowBytes = CK * 2, kGroupBytes = 8 * kRowBytes;
  static constexpr int kImages = IMAGES_, kUnitRows = 8 / kImages;
  static constexpr int kSlabRows = K == 1 ? 8 : ((kUnitRows - 1) * S + K) * kImages;
  static_assert(kImages == 1 || (kImages == 2 && K == 3 && S == 1));
  static constexpr int kUnitBytes = kSlabRows * kGroupBytes, kSlabBytes = kUnits * kUnitBytes;
  static constexpr int kTapBytes = BN * kRowBytes;
  // Small taps come a column at a time: fewer barriers.
  static constexpr bool kWholeColumns = K * kTapBytes <= 24 * 1024 && (S == 1 || CK == 32) && !TAIL_;
  static constexpr int kStepTaps = kWholeColumns ? K : 1, kStepBytes = kStepTaps * kTapBytes;
  // With a tail the tile goes through shared memory, MI·16 rows a warp.
  static constexpr bool kTail = TAIL_;
  static constexpr int kTailStride = BN * 2 + 16, kTailBytes = kTail ? kUnits * 64 * kTailStride : 0;
  static_assert(K == 3 || (K == 1 && S == 1));
  static_assert(MI * NI <= 32 && BN % 32 == 0);
};

/// A place in a ring of slots and the parity of its barriers.
struct RingPlace {
  int slot = 0, parity = 0;
  __device__ __forceinline__ void advance(int slots) {
    if (++slot == slots) slot = 0, parity ^= 1;
  }
};

struct UnitOrigin {
  int image, y, x;
};
template <class T>
__device__ __forceinline__ UnitOrigin unit_origin(const TmaConvParams& p, int unit) {
  const int x = unit % p.units_x, rest = unit / p.units_x;
  return {rest / p.units_y * T::kImages, rest % p.units_y * T::kUnitRows, x * 8};
}

/// Shared memory: slabs, steps, the tail's tile and weights, bias, then barriers: full and empty of the slabs, full and
/// empty of the steps.
struct TmaShared {
  std::uint32_t slabs, steps, tail_tile, tail_weights, slab_full, slab_empty, step_full, step_empty;
};

/// One thread: brings the input, tile by tile, slab by slab.
template <class T>
__device__ __forceinline__ void bring_slabs(const TmaConvParams& p, const TmaShared& s) {
  const ConvArgs& a = p.conv;
  RingPlace at;
  for (int tile = static_cast<int>(blockIdx.x); tile < p.tiles; tile += static_cast<int>(gridDim.x)) {
    UnitOrigin origin[T::kUnits];
#pragma unroll
    for (int u = 0; u < T::kUnits; ++u) {
      const int unit = tile * T::kUnits + u;
      origin[u] = p.flat ? UnitOrigin{0, 0, unit * 64} : unit_origin<T>(p, unit);
    }
    for (int chunk = 0; chunk < p.chunks; ++chunk) {
      const int c0 = chunk * T::CK;
      const int which = (c0 >= a.source_begin[1]) + (c0 >= a.source_begin[2]) + (c0 >= a.source_begin[3]);
      const CUtensorMap& map = p.maps[which];
      const int c = c0 - a.source_begin[which];
#pragma unroll
      for (int column = 0; column < T::K; ++column) {
        const std::uint32_t full = s.slab_full + at.slot * 8, slot = s.slabs + at.slot * T::kSlabBytes;
        barrier_wait(s.slab_empty + at.slot * 8, at.parity ^ 1);
        barrier_expect(full, T::kSlabBytes);
#pragma unroll
        for (int u = 0; u < T::kUnits; ++u) {
          const UnitOrigin o = origin[u];
          const std::uint32_t target = slot + u * T::kUnitBytes;
          if constexpr (T::K == 1) {
            if (a.sources[which].upsample != 0) {
              copy_box(target, map, c, 0, o.x >> 1, 0, (o.image * a.h + o.y) >> 1, full);
            } else {
              copy_box(target, map, c, 0, o.x, o.y, o.image, full);
            }
          } else if constexpr (T::kImages > 1) {
            copy_box(target, map, c, 0, o.x + column - 1, o.image, o.y - 1, full);
          } else if constexpr (T::S == 1) {
            copy_box(target, map, c, 0, o.x + column - 1, o.y - 1, o.image, full);
          } else {
            // Column 2x + tap - 1: odd ones for the outer taps, even ones for the middle.
            copy_box(target, map, c, (column + 1) & 1, o.x - (column == 0 ? 1 : 0), o.y * 2 - 1, o.image, full);
          }
        }
        at.advance(p.slab_slots);
      }
    }
  }
}

/// One thread: brings the weights, once where they all fit, otherwise for every tile.
template <class T>
__device__ __forceinline__ void bring_steps(const TmaConvParams& p, const TmaShared& s) {
  const unsigned char* const weights =
      reinterpret_cast<const unsigned char*>(p.conv.weights) + static_cast<long>(blockIdx.y) * p.steps * T::kStepBytes;
  RingPlace at;
  for (int tile = static_cast<int>(blockIdx.x); tile < p.tiles; tile += static_cast<int>(gridDim.x)) {
    for (int step = 0; step < p.steps; ++step) {
      const std::uint32_t full = s.step_full + at.slot * 8;
      barrier_wait(s.step_empty + at.slot * 8, at.parity ^ 1);
      barrier_expect(full, T::kStepBytes);
      copy_bulk(s.steps + at.slot * T::kStepBytes, weights + static_cast<long>(step) * T::kStepBytes, T::kStepBytes,
                full);
      at.advance(p.step_slots);
    }
    if (p.steps <= p.step_slots) break;
  }
}

/// The output pixel of row `row` (of eight) and column `column` of a unit, or -1 outside the map.
template <class T>
__device__ __forceinline__ long unit_pixel(const TmaConvParams& p, int unit, int row, int column) {
  const ConvArgs& a = p.conv;
  if (p.flat) {
    const long pixel = static_cast<long>(unit) * 64 + row * 8 + column;
    return pixel < static_cast<long>(a.n) * a.oh * a.ow ? pixel : -1L;
  }
  const UnitOrigin o = unit_origin<T>(p, unit);
  const int image = o.image + row % T::kImages, y = o.y + row / T::kImages, x = o.x + column;
  return image < a.n && y < a.oh && x < a.ow ? (static_cast<long>(image) * a.oh + y) * a.ow + x : -1L;
}

/// Bias, activation, residual, rounding and the store of a warpgroup's units.
template <class T>
__device__ __forceinline__ void store_units(const TmaConvParams& p, int first_unit, int n0, const float* bias,
                                            const float (&acc)[T::MI][T::NI][4]) {
  const ConvArgs& a = p.conv;
  const int lane = static_cast<int>(threadIdx.x) % 32, member = static_cast<int>(threadIdx.x) / 32 % 4;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int mi = 0; mi < T::MI; ++mi) {
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      const long pixel = unit_pixel<T>(p, first_unit + mi, member * 2 + upper, g);
      if (pixel < 0) continue;
#pragma unroll
      for (int group = 0; group < T::BN / 32; ++group) {
        const int local = group * 32 + t * 8, channel = n0 + local;
        if (channel >= a.cout) continue;
        const float4 low = *reinterpret_cast<const float4*>(bias + local);
        const float4 high = *reinterpret_cast<const float4*>(bias + local + 4);
        const float shift[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        float v[8];
#pragma unroll
        for (int e = 0; e < 8; ++e) {
          const float x = acc[mi][group * 4 + e / 2][upper * 2 + e % 2] + shift[e];
          v[e] = a.silu ? silu(x) : x;
        }
        if (a.residual != nullptr) {
          const uint4 r = *reinterpret_cast<const uint4*>(a.residual + pixel * a.residual_pitch + channel);
          const std::uint32_t pairs[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            const float2 pair = unpack_half2(pairs[q]);
            v[q * 2] += pair.x, v[q * 2 + 1] += pair.y;
          }
        }
        half* const target = channel < a.out_split ? a.out + pixel * a.out_pitch + channel
                                                   : a.out2 + pixel * a.out2_pitch + (channel - a.out_split);
        *reinterpret_cast<uint4*>(target) =
            make_uint4(pack_half2(v[0], v[1]), pack_half2(v[2], v[3]), pack_half2(v[4], v[5]), pack_half2(v[6], v[7]));
      }
    }
  }
}

/// The tail: bias and activation, a warp's rows as halves to shared memory, then the 1×1 behind it and the store.
template <class T>
__device__ __forceinline__ void store_tail_of_units(const TmaConvParams& p, const TmaShared& s, int first_unit,
                                                    const float* bias, const float (&acc)[T::MI][T::NI][4]) {
  const ConvArgs& a = p.conv;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::uint32_t strip = s.tail_tile + warp * T::MI * 16 * T::kTailStride;
  keep_rows<T::MI, T::NI, 32, T::kTailStride>(acc, bias, a.silu != 0, strip);
  long pixels[T::MI][2];
#pragma unroll
  for (int mi = 0; mi < T::MI; ++mi)
#pragma unroll
    for (int upper = 0; upper < 2; ++upper)
      pixels[mi][upper] = unit_pixel<T>(p, first_unit + mi, warp % 4 * 2 + upper, lane / 4);
  multiply_tail<T::MI, T::BN, T::kTailStride>(strip, s.tail_weights, a.tail_bias, a.tail_cout, pixels, a.out,
                                              a.out_pitch);
}

/// A warpgroup: multiplies what the two rings bring and stores its units.
template <class T>
__device__ __forceinline__ void consume(const TmaConvParams& p, const TmaShared& s, const float* bias) {
  const int group = static_cast<int>(threadIdx.x) / 128, lane = static_cast<int>(threadIdx.x) % 32;
  const int n0 = static_cast<int>(blockIdx.y) * T::BN, stride = static_cast<int>(gridDim.x);
  const bool resident = p.steps <= p.step_slots;
  // One arrival a warp.
  const auto release_slab = [&](int slot) {
    if (slot >= 0 && lane == 0) barrier_arrive(s.slab_empty + slot * 8);
  };
  const auto release_step = [&](int slot) {
    if (slot >= 0 && !resident && lane == 0) barrier_arrive(s.step_empty + slot * 8);
  };
  RingPlace slab_at, step_at;
  for (int tile = static_cast<int>(blockIdx.x); tile < p.tiles; tile += stride) {
    if (tile + stride >= p.tiles) release_successors();  // not earlier: their blocks would take room
    float acc[T::MI][T::NI][4] = {};
    // Products run one step behind: a slot is released when the next step's have been issued.
    int last_step = -1, last_slab = -1;
    for (int slab = 0; slab < p.slabs; ++slab) {
      barrier_wait(s.slab_full + slab_at.slot * 8, slab_at.parity);
      const std::uint64_t rows = swizzled_descriptor<T::kRowBytes>(
          s.slabs + slab_at.slot * T::kSlabBytes + group * T::MI * T::kUnitBytes, T::S * T::kGroupBytes);
#pragma unroll
      for (int step = 0; step < T::K / T::kStepTaps; ++step) {
        barrier_wait(s.step_full + step_at.slot * 8, resident ? 0 : step_at.parity);
        const std::uint64_t weights =
            swizzled_descriptor<T::kRowBytes>(s.steps + step_at.slot * T::kStepBytes, T::kGroupBytes);
        warpgroup_arrive();
#pragma unroll
        for (int t = 0; t < T::kStepTaps; ++t)
#pragma unroll
          for (int kk = 0; kk < T::CK / 16; ++kk)
#pragma unroll
            for (int mi = 0; mi < T::MI; ++mi)
              wgmma_shared<T::NI>(
                  acc[mi],
                  rows + (mi * T::kUnitBytes + (step * T::kStepTaps + t) * T::kImages * T::kGroupBytes + kk * 32) / 16,
                  weights + (t * T::kTapBytes + kk * 32) / 16);
        warpgroup_commit();
        warpgroup_wait<1>();
        release_step(last_step);
        if (step == 0) release_slab(last_slab);
        last_step = step_at.slot;
        step_at.advance(p.step_slots);
      }
      last_slab = slab_at.slot;
      slab_at.advance(p.slab_slots);
    }
    warpgroup_wait<0>();
    keep_behind_wait(acc);
    release_step(last_step);
    release_slab(last_slab);
    if constexpr (T::kTail) {
      store_tail_of_units<T>(p, s, tile * T::kUnits + group * T::MI, bias, acc);
    } else {
      store_units<T>(p, tile * T::kUnits + group * T::MI, n0, bias, acc);
    }
  }
}

/// What: out = act(conv(in, W) + bias) + residual, 1×1 or 3×3 (pad 1), stride 1 or 2, as implicit GEMM; with a tail
///       out = W'·act(conv(in, W) + bias) + bias'. The copy engine
///       fetches boxes of 8×8 pixels (with the rows that a column of taps needs), zeros outside the map, every second
///       column for stride 2, every pixel twice in both directions for upsampled sources; so the three taps of a column
///       are three offsets into one slab, and tensor cores read all operands where the copies put them.
/// In:   sources f16 [N,H,W,pitch], up to four channel runs, 16-byte aligned; weights packed by pack_tma_weights
/// Out:  f16 [N,OH,OW,pitch] slices; must not alias the sources; the residual may not alias the output. Padding of the
///       pitch is not written
/// Launch: grid (blocks over tiles, cout / BN), persistent over tiles; warpgroups that multiply and two warps that
/// copy;
///       shared memory two rings of slots, see launch_tma_conv; sm_90a
/// Bounds: any N, H, W ≥ 1, W even at stride 2, H and W even with upsampled sources; channels multiples of 8; reads and
///       writes nothing outside the views
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 accumulation in a fixed order, so a pixel's value depends on the variant only, not on the batch;
///       within 2^-9 relative + 2e-3 of conv_ref
/// Roofline: as conv_kernel; through L2 a tile moves BM·k + BN·k² rows of 2·CK bytes for 2·BM·BN·CK·k² flops; measured
///       figures: bench/cuda
/// Rejected: a box a tap (three times the reads of L2); one patch for all nine taps (a tap to the side is one row off,
///       out of phase with the swizzle); clusters of two that share the weights by multicast (never the
///           fastest in some 400 tuned layers of n, s and m)
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kMinBlocks) tma_conv_kernel(const __grid_constant__ TmaConvParams p) {
#if defined(GANTRY_HAVE_WGMMA)
  extern __shared__ __align__(1024) unsigned char shared[];
  const int tid = static_cast<int>(threadIdx.x), warp = tid / 32;
  TmaShared s;
  s.slabs = shared_address(shared);
  s.steps = s.slabs + p.slab_slots * T::kSlabBytes;
  s.tail_tile = s.steps + p.step_slots * T::kStepBytes;
  s.tail_weights = s.tail_tile + T::kTailBytes;
  float* const bias = reinterpret_cast<float*>(shared + (s.tail_weights - s.slabs) + p.tail_bytes);
  s.slab_full = shared_address(bias + T::BN);
  s.slab_empty = s.slab_full + p.slab_slots * 8;
  s.step_full = s.slab_empty + p.slab_slots * 8;
  s.step_empty = s.step_full + p.step_slots * 8;
  if (tid == 0) {
    for (int i = 0; i < p.slab_slots; ++i)
      barrier_init(s.slab_full + i * 8, 1), barrier_init(s.slab_empty + i * 8, T::kWarps);
    for (int i = 0; i < p.step_slots; ++i)
      barrier_init(s.step_full + i * 8, 1), barrier_init(s.step_empty + i * 8, T::kWarps);
    barrier_publish();
  }
  if constexpr (T::kTail) {
    load_tail_weights<T::BN>(p.conv.tail_weights, p.conv.tail_cout, s.tail_weights);
    copy_async_commit();
    copy_async_wait<0>();
  }
  for (int i = tid; i < T::BN; i += T::kThreads) bias[i] = p.conv.bias[static_cast<int>(blockIdx.y) * T::BN + i];
  __syncthreads();

  if (warp < T::kWarps) {
    wait_for_predecessors();
    consume<T>(p, s, bias);
  } else if (tid == T::kWarps * 32) {
    wait_for_predecessors();
    bring_slabs<T>(p, s);
  } else if (tid == T::kWarps * 32 + 32) {
    bring_steps<T>(p, s);  // constant data: runs while the kernel before still works
  }
#endif
}

template <class T>
TmaConvVariant tma_conv_variant(const char* name) {
  return {name,         T::K,          T::S,        T::BN,         T::CK,
          T::kImages,   T::kUnits,     T::kThreads, T::kMinBlocks, T::kSlabBytes,
          T::kStepTaps, T::kStepBytes, T::kTail,    T::kTailBytes, tma_conv_kernel<T>};
}

}  // namespace gantry::cuda
