#pragma once
// The convolution kernel's template. Included by the .cu files that instantiate it, one a kernel size.
#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/ptx.cuh"
#include "engine/cuda/kernels/tail.cuh"
#include "engine/cuda/kernels/wgmma.cuh"

namespace gantry::cuda {

/// Compile-time shape. WM × WN × WK warps (WG: warpgroups of four): WM and WN split the output tile, WK splits the
/// reduction inside the block (for maps too small to fill the chip otherwise).
template <int K_, int S_, int TH_, int TW_, int BN_, int WM_, int WN_, int WK_, int CK_, int STAGES_, int BLOCKS_,
          bool TAIL_ = false, bool WG_ = false, int LAG_ = 0>
struct ConvTile {
  static constexpr int K = K_, S = S_, TH = TH_, TW = TW_, BN = BN_, WM = WM_, WN = WN_, WK = WK_, CK = CK_;
  static constexpr int kStages = STAGES_, kMinBlocks = BLOCKS_;
  static constexpr bool kWarpgroup = WG_;
  static constexpr int kTeam = WG_ ? 4 : 1;  // warps that work on one fragment row
  static constexpr int kThreads = WM * WN * WK * kTeam * 32;
  static constexpr int kLag = LAG_;  // steps whose products may still run while the next one's begin
  // A span is the rows of a team's fragment. It holds whole rows of pixels where they fit: with TW = 20 a warpgroup's
  // 64 hold three rows, 60 pixels, and four idle.
  static constexpr int kSpan = 16 * kTeam, kSpanPixels = TW <= kSpan ? kSpan / TW * TW : kSpan;
  static constexpr int kSpans = TH * TW / kSpanPixels, BM = kSpans * kSpan;
  static_assert(kSpans * kSpanPixels == TH * TW);
  static constexpr int MI = BM / (16 * kTeam * WM), NI = BN / (8 * WN);  // 16x8 fragments a warp
  static constexpr int kGroup = (NI * 8) % 32 == 0 ? 32 : 16;  // output channels that pack_conv_weights permutes
  static constexpr int kTaps = K * K;
  static constexpr int kSteps = kTaps * (CK / 16);
  static constexpr int PH = (TH - 1) * S + K, PW = (TW - 1) * S + K, kPixels = PH * PW;
  static constexpr int kEven = (PW + 1) / 2;  // stride 2: even columns first, so that a row's reads are neighbours
  // An odd number of 16-byte units a pixel: eight neighbouring pixels never share a bank.
  static constexpr int kPixelBytes = CK * 2 + ((CK / 8) % 2 == 0 ? 16 : 0);
  static constexpr int kPatchBytes = (kPixels * kPixelBytes + 127) / 128 * 128;
  static constexpr int kRowBytes = BN / 16 * 512;
  static constexpr int kWeightBytes = kSteps * kRowBytes;
  static constexpr int kReduceBytes = (WK - 1) * BM * BN * 4;
  static constexpr bool kTail = TAIL_;
  static constexpr int kTailStride = BN * 2 + 16;
  static constexpr int kExtraBytes = BN * 4 + kReduceBytes + (kTail ? BM * kTailStride : 0);
  static_assert(!kTail || (WN == 1 && WK == 1));
  static_assert(BM % (16 * kTeam * WM) == 0 && BN % (16 * WN) == 0 && CK % 16 == 0);
  static_assert(K == 1 ? (S == 1 && TH == 1) : K == 3);

  /// First row of fragment mi of a warp; `wm` counts teams, `member` is the warp in its team.
  static constexpr int fragment_row(int wm, int member, int mi) { return ((wm * MI + mi) * kTeam + member) * 16; }
  static constexpr int pixel_of(int row) {
    const int within = row % kSpan;
    return row / kSpan * kSpanPixels + (within < kSpanPixels ? within : kSpanPixels - 1);
  }
  static constexpr bool idle(int row) { return row % kSpan >= kSpanPixels; }
  /// Bytes from a pixel's place in the patch to that of a tap.
  static constexpr int tap_bytes(int tap) {
    const int r = tap / K, s = tap % K;
    const int column = S == 1 ? s : (s & 1) * kEven + (s >> 1);
    return (r * PW + column) * kPixelBytes;
  }
};

struct TileOrigin {
  int image, y, x;  // 1×1: image holds the first pixel of the flattened batch
};

template <class T>
__device__ __forceinline__ TileOrigin tile_origin(const ConvArgs& a, int tile) {
  if constexpr (T::K == 1) {
    return {tile * T::BM, 0, 0};
  } else {
    const int x = tile % a.tiles_x, rest = tile / a.tiles_x;
    return {rest / a.tiles_y, rest % a.tiles_y * T::TH, x * T::TW};
  }
}

/// Starts the copy of one stage's input: the tile's pixels with their halo, CK channels; zeros outside the map.
template <class T>
__device__ __forceinline__ void load_patch(const ConvArgs& a, const TileOrigin& at, int chunk, std::uint32_t target) {
  constexpr int kVectors = T::CK / 8, kTotal = T::kPixels * kVectors;
  const int c0 = chunk * T::CK;
  const int which = (c0 >= a.source_begin[1]) + (c0 >= a.source_begin[2]) + (c0 >= a.source_begin[3]);
  const half* const data = a.sources[which].data;
  const int pitch = a.sources[which].pitch, up = a.sources[which].upsample;
  const int local = c0 - a.source_begin[which];
#pragma unroll
  for (int i = 0; i < (kTotal + T::kThreads - 1) / T::kThreads; ++i) {
    const int v = static_cast<int>(threadIdx.x) + i * T::kThreads;
    if (kTotal % T::kThreads != 0 && v >= kTotal) break;
    const int pixel = v / kVectors, c = v % kVectors * 8;
    bool valid = c0 + c < a.cin;
    long offset = 0;
    int slot = pixel;
    if constexpr (T::K == 1) {
      const int p = at.image + pixel;
      valid = valid && p < a.n * a.h * a.w;
      if (up == 0) {
        offset = p;
      } else {
        const int x = p % a.w, row = p / a.w, y = row % a.h, image = row / a.h;
        offset = (static_cast<long>(image) * (a.h >> 1) + (y >> 1)) * (a.w >> 1) + (x >> 1);
      }
    } else {
      const int py = pixel / T::PW, px = pixel % T::PW;
      const int y = at.y * T::S - T::K / 2 + py, x = at.x * T::S - T::K / 2 + px;
      valid = valid && static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
              static_cast<unsigned>(x) < static_cast<unsigned>(a.w);
      offset = (static_cast<long>(at.image) * (a.h >> up) + (y >> up)) * (a.w >> up) + (x >> up);
      if constexpr (T::S == 2) slot = py * T::PW + (px & 1) * T::kEven + (px >> 1);
    }
    const half* source = valid ? data + offset * pitch + local + c : data;
    copy_async_16(target + slot * T::kPixelBytes + c * 2, source, valid);
  }
}

/// Starts the copy of a chunk's weights for this block's BN output channels.
template <class T>
__device__ __forceinline__ void load_weights(const ConvArgs& a, int chunk, int n0, std::uint32_t target) {
  constexpr int kRowVectors = T::kRowBytes / 16, kTotal = T::kSteps * kRowVectors;
  const uint4* const base =
      reinterpret_cast<const uint4*>(a.weights) + static_cast<long>(chunk) * T::kSteps * (a.packed_cout * 2) + n0 * 2;
#pragma unroll 4
  for (int v = static_cast<int>(threadIdx.x); v < kTotal; v += T::kThreads) {
    const int row = v / kRowVectors, column = v % kRowVectors;
    copy_async_16(target + v * 16, base + static_cast<long>(row) * (a.packed_cout * 2) + column, true);
  }
}

/// acc += patch · weights for one stage. `patch` and `weights` already carry this lane's and warp's offsets.
template <class T>
__device__ __forceinline__ void multiply_stage(float (&acc)[T::MI][T::NI][4], const std::uint32_t (&patch)[T::MI],
                                               std::uint32_t weights, int wk) {
  const auto step = [&](int tap_offset, int row) {
    std::uint32_t a[T::MI][4];
#pragma unroll
    for (int mi = 0; mi < T::MI; ++mi) load_matrix_x4(a[mi], patch[mi] + tap_offset);
#pragma unroll
    for (int nj = 0; nj < T::NI / 2; ++nj) {
      const uint4 b = load_shared_16(weights + row * T::kRowBytes + nj * 512);
#pragma unroll
      for (int mi = 0; mi < T::MI; ++mi) {
        mma_16816(acc[mi][nj * 2], a[mi], b.x, b.y);
        mma_16816(acc[mi][nj * 2 + 1], a[mi], b.z, b.w);
      }
    }
  };
  if constexpr (T::WK == 1) {
#pragma unroll
    for (int kk = 0; kk < T::CK / 16; ++kk) {
#pragma unroll
      for (int tap = 0; tap < T::kTaps; ++tap) step(T::tap_bytes(tap) + kk * 32, kk * T::kTaps + tap);
    }
  } else {
#pragma unroll
    for (int i = 0; i < (T::kSteps + T::WK - 1) / T::WK; ++i) {
      const int row = i * T::WK + wk;
      if (T::kSteps % T::WK != 0 && row >= T::kSteps) break;
      const int kk = row / T::kTaps, tap = row % T::kTaps;
      step(T::tap_bytes(tap) + kk * 32, row);
    }
  }
}

/// The same with warpgroups. Three steps at a time: their rows are gathered while the last three are still multiplied.
template <class T>
__device__ __forceinline__ void multiply_stage_warpgroup(float (&acc)[T::MI][T::NI][4],
                                                         const std::uint32_t (&patch)[T::MI], std::uint64_t weights,
                                                         int wk) {
  constexpr int kOwnSteps = T::kSteps / T::WK, kRun = kOwnSteps % 3 == 0 ? 3 : kOwnSteps % 2 == 0 ? 2 : 1;
  static_assert(T::kSteps % T::WK == 0);
  std::uint32_t a[2][kRun][T::MI][4];
#pragma unroll
  for (int run = 0; run < kOwnSteps / kRun; ++run) {
    // The registers of the run before last are free again; over an odd number of runs a stage's first are its last's.
    if (run >= 2 || (T::kLag > 0 && kOwnSteps / kRun % 2 == 0)) {
      warpgroup_wait<1>();
    } else if (T::kLag > 0 && run == 0) {
      warpgroup_wait<0>();
    }
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const int row = (run * kRun + i) * T::WK + (T::WK > 1 ? wk : 0);
#pragma unroll
      for (int mi = 0; mi < T::MI; ++mi)
        load_matrix_x4(a[run % 2][i][mi], patch[mi] + T::tap_bytes(row % T::kTaps) + row / T::kTaps * 32);
    }
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const int row = (run * kRun + i) * T::WK + (T::WK > 1 ? wk : 0);
#pragma unroll
      for (int mi = 0; mi < T::MI; ++mi)
        wgmma<T::NI>(acc[mi], a[run % 2][i][mi], weights + static_cast<std::uint64_t>(row * (T::kRowBytes / 16)));
    }
    warpgroup_commit();
  }
  if constexpr (T::kLag == 0) warpgroup_wait<0>();
}

/// Adds the partial sums of the WK warps that share an output tile, in a fixed order; the result is in the wk = 0
/// warps.
template <class T>
__device__ __forceinline__ void reduce_over_wk(float (&acc)[T::MI][T::NI][4], float* scratch, int wk,
                                               int warp_in_tile) {
  if constexpr (T::WK > 1) {
    constexpr int kPart = T::BM * T::BN, kFragments = T::MI * T::NI;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float4* const mine = reinterpret_cast<float4*>(scratch) + warp_in_tile * kFragments * 32 + lane;
    if (wk > 0) {
#pragma unroll
      for (int f = 0; f < kFragments; ++f)
        mine[(wk - 1) * (kPart / 4) + f * 32] = *reinterpret_cast<const float4*>(acc[f / T::NI][f % T::NI]);
    }
    __syncthreads();
    if (wk == 0) {
#pragma unroll
      for (int other = 0; other < T::WK - 1; ++other) {
#pragma unroll
        for (int f = 0; f < kFragments; ++f) {
          const float4 v = mine[other * (kPart / 4) + f * 32];
          float(&c)[4] = acc[f / T::NI][f % T::NI];
          c[0] += v.x, c[1] += v.y, c[2] += v.z, c[3] += v.w;
        }
      }
    }
  }
}

/// Bias, activation, residual, rounding and the store of one warp's tile.
template <class T>
__device__ __forceinline__ void store_tile(const ConvArgs& a, const TileOrigin& at, int n0, int wm, int wn, int member,
                                           const float* bias, const float (&acc)[T::MI][T::NI][4]) {
  constexpr int kGroups = T::NI * 8 / T::kGroup, kTiles = T::kGroup / 8;  // mma tiles a group: 4 or 2
  constexpr int kOwn = kTiles * 2;                                        // neighbouring channels of this thread
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int mi = 0; mi < T::MI; ++mi) {
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      const int slot = T::fragment_row(wm, member, mi) + upper * 8 + g, m = T::pixel_of(slot);
      long pixel = 0;
      bool inside = false;
      if constexpr (T::K == 1) {
        pixel = at.image + m;
        inside = pixel < static_cast<long>(a.n) * a.h * a.w;
      } else {
        const int y = at.y + m / T::TW, x = at.x + m % T::TW;
        inside = y < a.oh && x < a.ow && !T::idle(slot);
        pixel = (static_cast<long>(at.image) * a.oh + y) * a.ow + x;
      }
      if (!inside) continue;
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const int local = wn * T::NI * 8 + group * T::kGroup + t * kOwn, channel = n0 + local;
        if (channel >= a.cout) continue;
        float v[kOwn];
#pragma unroll
        for (int q = 0; q < kTiles; ++q) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            const float x = acc[mi][group * kTiles + q][upper * 2 + e] + bias[local + q * 2 + e];
            v[q * 2 + e] = a.silu ? silu(x) : x;
          }
        }
        if (a.residual != nullptr) {
          const half* source = a.residual + pixel * a.residual_pitch + channel;
#pragma unroll
          for (int q = 0; q < kTiles; ++q) {
            const float2 r = __half22float2(*reinterpret_cast<const __half2*>(source + q * 2));
            v[q * 2] += r.x, v[q * 2 + 1] += r.y;
          }
        }
        half* const target = channel < a.out_split ? a.out + pixel * a.out_pitch + channel
                                                   : a.out2 + pixel * a.out2_pitch + (channel - a.out_split);
        if constexpr (kOwn == 8) {
          *reinterpret_cast<uint4*>(target) = make_uint4(pack_half2(v[0], v[1]), pack_half2(v[2], v[3]),
                                                         pack_half2(v[4], v[5]), pack_half2(v[6], v[7]));
        } else {
          *reinterpret_cast<uint2*>(target) = make_uint2(pack_half2(v[0], v[1]), pack_half2(v[2], v[3]));
        }
      }
    }
  }
}

/// The tail: bias and activation, the tile as halves to shared memory, then the 1×1 behind it and the store. A warp
/// reads only the rows that it wrote.
template <class T>
__device__ __forceinline__ void store_tail(const ConvArgs& a, const TileOrigin& at, int wm, int member,
                                           const float* bias, std::uint32_t tile, std::uint32_t weights,
                                           const float (&acc)[T::MI][T::NI][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t strip = tile + (wm * T::kTeam + member) * T::MI * 16 * T::kTailStride;
  keep_rows<T::MI, T::NI, T::kGroup, T::kTailStride>(acc, bias, a.silu != 0, strip);
  long pixels[T::MI][2];
#pragma unroll
  for (int mi = 0; mi < T::MI; ++mi)
#pragma unroll
    for (int upper = 0; upper < 2; ++upper) {
      const int slot = T::fragment_row(wm, member, mi) + upper * 8 + lane / 4, m = T::pixel_of(slot);
      const int y = at.y + m / T::TW, x = at.x + m % T::TW;
      pixels[mi][upper] =
          y < a.oh && x < a.ow && !T::idle(slot) ? (static_cast<long>(at.image) * a.oh + y) * a.ow + x : -1L;
    }
  multiply_tail<T::MI, T::BN, T::kTailStride>(strip, weights, a.tail_bias, a.tail_cout, pixels, a.out, a.out_pitch);
}

/// What: out = act(conv(in, W) + bias) + residual, 1×1 or 3×3 (pad 1), stride 1 or 2, as implicit GEMM whose input tile
///       lies in shared memory once: the nine taps are nine address offsets of the same ldmatrix.
/// In:   sources f16 [N,H,W,pitch], up to four channel runs, 16-byte aligned; weights packed by pack_conv_weights
/// Out:  f16 [N,OH,OW,pitch] slices; must not alias the sources; the residual may not alias the output. Padding of the
///       pitch is not written
/// Launch: grid (blocks over tiles, cout / BN), persistent over tiles: a block walks tiles blockIdx.x, + gridDim.x, …;
///       WM·WN·WK·32 threads; shared memory ConvVariant::shared_bytes; sm_80 and later; tails by predicate
/// Bounds: any N, H, W ≥ 1; channels multiples of 8; reads and writes nothing outside the views
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 accumulation in a fixed order, so a pixel's value depends on the variant only, not on the batch;
///       within 2^-9 relative + 2e-3 of conv_ref
/// Roofline: bytes = in + out (+ residual) + weights a column of blocks; flops = 2·N·OH·OW·Cout·Cin·k²; measured
///       figures: bench/cuda
/// Rejected: im2col in shared memory (nine times the shared-memory writes); staging the output through shared memory
///       (permuting the weights' columns gives 16-byte stores for nothing)
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kMinBlocks) conv_kernel(const __grid_constant__ ConvArgs a) {
  extern __shared__ __align__(128) unsigned char shared[];
  const std::uint32_t patches = shared_address(shared);
  const std::uint32_t weights = patches + T::kPatchBytes * T::kStages;
  float* const bias = reinterpret_cast<float*>(shared + T::kPatchBytes * T::kStages +
                                               T::kWeightBytes * (a.resident ? a.chunks : T::kStages));
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  const int member = warp % T::kTeam, team = warp / T::kTeam, wmn = team % (T::WM * T::WN);
  const int wk = team / (T::WM * T::WN), wm = wmn / T::WN, wn = wmn % T::WN;
  const int n0 = static_cast<int>(blockIdx.y) * T::BN;
  const int stride = static_cast<int>(gridDim.x);

  // Constant data first: this part runs while the kernel before still works.
  for (int i = tid; i < T::BN; i += T::kThreads) bias[i] = a.bias[n0 + i];
  const std::uint32_t tail_tile = shared_address(bias) + T::BN * 4;
  const std::uint32_t tail_weights = tail_tile + T::BM * T::kTailStride;
  if constexpr (T::kTail) load_tail_weights<T::BN>(a.tail_weights, a.tail_cout, tail_weights);
  if (a.resident) {
    for (int c = 0; c < a.chunks; ++c) load_weights<T>(a, c, n0, weights + c * T::kWeightBytes);
  } else {
#pragma unroll
    for (int s = 0; s < T::kStages - 1 - T::kLag; ++s)
      if (s < a.chunks || stride + static_cast<int>(blockIdx.x) < a.tiles)
        load_weights<T>(a, s % a.chunks, n0, weights + s * T::kWeightBytes);
  }
  wait_for_predecessors();

  // The producer runs kStages - 1 - kLag steps ahead of the consumer; a step is one chunk of one tile.
  int load_tile = static_cast<int>(blockIdx.x), load_chunk = 0, load_slot = 0;
  TileOrigin load_at = tile_origin<T>(a, load_tile);
  const auto produce = [&](bool with_weights) {
    if (load_tile < a.tiles) {
      load_patch<T>(a, load_at, load_chunk, patches + load_slot * T::kPatchBytes);
      if (with_weights && !a.resident) load_weights<T>(a, load_chunk, n0, weights + load_slot * T::kWeightBytes);
    }
    copy_async_commit();
    load_slot = load_slot + 1 == T::kStages ? 0 : load_slot + 1;
    if (++load_chunk == a.chunks) {
      load_chunk = 0;
      load_tile += stride;
      if (load_tile < a.tiles) load_at = tile_origin<T>(a, load_tile);
    }
  };
#pragma unroll
  for (int s = 0; s < T::kStages - 1 - T::kLag; ++s) produce(false);

  std::uint32_t row_offset[T::MI];
#pragma unroll
  for (int mi = 0; mi < T::MI; ++mi) {
    const int m = T::pixel_of(T::fragment_row(wm, member, mi) + lane % 16);
    row_offset[mi] = (m / T::TW * T::S * T::PW + m % T::TW) * T::kPixelBytes + lane / 16 * 16;
  }
  const std::uint32_t weight_offset = wn * (T::NI / 2) * 512 + (T::kWarpgroup ? 0 : lane * 16);

  int slot = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < a.tiles; tile += stride) {
    if (tile + stride >= a.tiles) release_successors();  // not earlier: their blocks would take this kernel's room
    float acc[T::MI][T::NI][4] = {};
    for (int chunk = 0; chunk < a.chunks; ++chunk) {
      copy_async_wait<T::kStages - 2 - T::kLag>();
      if constexpr (T::kLag > 0) warpgroup_wait<1>();  // of the step before last, whose stage is loaded next
      if constexpr (T::kWarpgroup) publish_to_tensor_cores();
      __syncthreads();
      produce(true);
      std::uint32_t patch[T::MI];
#pragma unroll
      for (int mi = 0; mi < T::MI; ++mi) patch[mi] = patches + slot * T::kPatchBytes + row_offset[mi];
      const std::uint32_t at = weights + (a.resident ? chunk : slot) * T::kWeightBytes + weight_offset;
      if constexpr (T::kWarpgroup) {
        multiply_stage_warpgroup<T>(acc, patch, core_matrix_descriptor(at), wk);
      } else {
        multiply_stage<T>(acc, patch, at, wk);
      }
      slot = slot + 1 == T::kStages ? 0 : slot + 1;
    }
    if constexpr (T::kLag > 0) warpgroup_wait<0>();
    reduce_over_wk<T>(acc, bias + T::BN, wk, wmn * T::kTeam + member);
    if constexpr (T::kTail) {
      store_tail<T>(a, tile_origin<T>(a, tile), wm, member, bias, tail_tile, tail_weights, acc);
    } else if (T::WK == 1 || wk == 0) {
      store_tile<T>(a, tile_origin<T>(a, tile), n0, wm, wn, member, bias, acc);
    }
  }
}

/// The table entry of a tile.
template <int K, int S, int TH, int TW, int BN, int WM, int WN, int WK, int CK, int STAGES, int BLOCKS,
          bool TAIL = false, int LAG = 0>
using WarpgroupTile = ConvTile<K, S, TH, TW, BN, WM, WN, WK, CK, STAGES, BLOCKS, TAIL, true, LAG>;

template <class T>
ConvVariant conv_variant(const char* name) {
  return {name,       T::K,      T::S,          T::TH,          T::TW,           T::BN,
          T::CK,      T::kGroup, T::kThreads,   T::kPatchBytes, T::kWeightBytes, T::kExtraBytes,
          T::kStages, T::kTail,  T::kWarpgroup, conv_kernel<T>};
}

}  // namespace gantry::cuda
