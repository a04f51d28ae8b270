#include "engine/cuda/kernels/depthwise_pointwise.hpp"

#include <array>

#include "engine/cuda/kernels/tail.cuh"

namespace gantry::cuda {

namespace {

template <int TH_, int TW_, int BN_>
struct Tile {
  static constexpr int TH = TH_, TW = TW_, BN = BN_, BM = TH * TW, CK = 32;
  static constexpr int kWarps = 4, kThreads = 128, kMinBlocks = BM > 64 || BN > 80 ? 2 : 3, MI = BM / 16 / kWarps,
                       NI = BN / 8;
  static constexpr int kGroup = BN % 32 == 0 ? 32 : 16;
  static constexpr int PH = TH + 2, PW = TW + 2, kPatchBytes = PH * PW * CK * 2, kStages = BM > 64 ? 3 : 4;
  static constexpr int kAStride = CK * 2 + 16, kKeepStride = BN * 2 + 16;
  static constexpr int kTileBytes = BM * (kKeepStride > kAStride ? kKeepStride : kAStride);
  static constexpr int kFixedBytes = kPatchBytes * kStages + kTileBytes + BN * 4;
  static constexpr int kUnits = TW * (CK / 4), kSplits = kThreads / kUnits, kRows = TH / kSplits;
  static_assert(kThreads % kUnits == 0 && TH % kSplits == 0 && BM % 64 == 0);
};

/// What: out = act(W·act(dw3x3(in) + b) + b'), and with a tail out = W''·(that) + b''
/// In:   f16 [N,H,W,pitch] slice of cin channels, 16-byte aligned; depthwise f16 [9][cin]; weights packed
/// Out:  f16 [N,H,W,pitch] slice; must not overlap the input
/// Launch: grid (blocks over TH×TW tiles, columns of BN), persistent; 128 threads; sm_80 and later
/// Bounds: any N, H, W ≥ 1; cin a multiple of 8; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 accumulation in both; the depthwise map is rounded to FP16 as the unfused pair would
/// Roofline: bytes = 2·(cin + cout)·H·W an image; the depthwise map and, with a tail, the map behind it stay on the
/// chip Rejected: one thread a pixel (nine shared-memory reads an output; a column of rows needs three)
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kMinBlocks)
    depthwise_pointwise_kernel(const __grid_constant__ DepthwisePointwiseArgs a) {
  extern __shared__ __align__(128) unsigned char shared[];
  const std::uint32_t patches = shared_address(shared), tile_at = patches + T::kPatchBytes * T::kStages;
  float* const bias = reinterpret_cast<float*>(shared + T::kPatchBytes * T::kStages + T::kTileBytes);
  const std::uint32_t weights = tile_at + T::kTileBytes + T::BN * 4;
  const int padded = a.chunks * T::CK;
  const std::uint32_t depthwise = weights + padded / 16 * (T::BN / 16) * 512;
  const std::uint32_t tail_weights = depthwise + padded * 18;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  const int n0 = static_cast<int>(blockIdx.y) * T::BN, stride = static_cast<int>(gridDim.x);

  for (int i = tid; i < T::BN; i += T::kThreads) bias[i] = a.bias[n0 + i];
  {
    constexpr int kRowVectors = T::BN * 2;
    const int columns = static_cast<int>(gridDim.y);
    for (int v = tid; v < padded / 16 * kRowVectors; v += T::kThreads)
      copy_async_16(weights + v * 16,
                    reinterpret_cast<const uint4*>(a.weights) + (v / kRowVectors * columns) * kRowVectors + n0 * 2 +
                        v % kRowVectors,
                    true);
    for (int v = tid; v < padded * 18 / 16; v += T::kThreads)
      copy_async_16(depthwise + v * 16, reinterpret_cast<const uint4*>(a.depthwise) + v, true);
    if (a.tail_cout > 0) load_tail_weights<T::BN>(a.tail_weights, a.tail_cout, tail_weights);
  }
  wait_for_predecessors();

  int load_tile = static_cast<int>(blockIdx.x), load_chunk = 0, load_slot = 0;
  const auto produce = [&]() {
    if (load_tile < a.tiles) {
      constexpr int kVectors = T::CK / 8, kTotal = T::PH * T::PW * kVectors;
      const int tx = load_tile % a.tiles_x, rest = load_tile / a.tiles_x;
      const int ty = rest % a.tiles_y, image = rest / a.tiles_y;
      const half* const plane = a.in + static_cast<long>(image) * a.h * a.w * a.in_pitch;
#pragma unroll
      for (int i = 0; i < (kTotal + T::kThreads - 1) / T::kThreads; ++i) {
        const int v = tid + i * T::kThreads;
        if (v >= kTotal) break;
        const int pixel = v / kVectors, c = load_chunk * T::CK + v % kVectors * 8;
        const int y = ty * T::TH - 1 + pixel / T::PW, x = tx * T::TW - 1 + pixel % T::PW;
        const bool valid = c < a.cin && static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
                           static_cast<unsigned>(x) < static_cast<unsigned>(a.w);
        const half* source = valid ? plane + (static_cast<long>(y) * a.w + x) * a.in_pitch + c : a.in;
        copy_async_16(patches + load_slot * T::kPatchBytes + v * 16, source, valid);
      }
    }
    copy_async_commit();
    load_slot = load_slot + 1 == T::kStages ? 0 : load_slot + 1;
    if (++load_chunk == a.chunks) load_chunk = 0, load_tile += stride;
  };
#pragma unroll
  for (int s = 0; s < T::kStages - 1; ++s) produce();

  // Depthwise: a thread owns four channels of one column of pixels.
  const int quad = tid % (T::CK / 4), column = tid / (T::CK / 4) % T::TW, row0 = tid / T::kUnits * T::kRows;
  const std::uint32_t a_rows = tile_at + (warp * T::MI * 16 + lane % 16) * T::kAStride + lane / 16 * 16;
  int slot = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < a.tiles; tile += stride) {
    if (tile + stride >= a.tiles) release_successors();  // not earlier: their blocks would take this kernel's room
    float acc[T::MI][T::NI][4] = {};
    for (int chunk = 0; chunk < a.chunks; ++chunk) {
      copy_async_wait<T::kStages - 2>();
      __syncthreads();
      produce();
      {
        float w[9][4];
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
          std::uint32_t lo, hi;
          asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];\n"
                       : "=r"(lo), "=r"(hi)
                       : "r"(depthwise + (tap * padded + chunk * T::CK + quad * 4) * 2));
          const float2 x = unpack_half2(lo), y = unpack_half2(hi);
          w[tap][0] = x.x, w[tap][1] = x.y, w[tap][2] = y.x, w[tap][3] = y.y;
        }
        const float4 b = __ldg(reinterpret_cast<const float4*>(a.depthwise_bias + chunk * T::CK) + quad);
        float sum[T::kRows][4];
#pragma unroll
        for (int y = 0; y < T::kRows; ++y) sum[y][0] = b.x, sum[y][1] = b.y, sum[y][2] = b.z, sum[y][3] = b.w;
#pragma unroll
        for (int py = 0; py < T::kRows + 2; ++py) {
#pragma unroll
          for (int s = 0; s < 3; ++s) {
            std::uint32_t lo, hi;
            asm volatile(
                "ld.shared.v2.u32 {%0,%1}, [%2];\n"
                : "=r"(lo), "=r"(hi)
                : "r"(patches + slot * T::kPatchBytes + ((row0 + py) * T::PW + column + s) * (T::CK * 2) + quad * 8));
            const float2 x = unpack_half2(lo), z = unpack_half2(hi);
#pragma unroll
            for (int r = 0; r < 3; ++r) {
              const int y = py - r;
              if (y < 0 || y >= T::kRows) continue;
              sum[y][0] += w[r * 3 + s][0] * x.x, sum[y][1] += w[r * 3 + s][1] * x.y;
              sum[y][2] += w[r * 3 + s][2] * z.x, sum[y][3] += w[r * 3 + s][3] * z.y;
            }
          }
        }
#pragma unroll
        for (int y = 0; y < T::kRows; ++y) {
          if (a.depthwise_silu) {
#pragma unroll
            for (float& v : sum[y]) v = silu(v);
          }
          store_shared_8(tile_at + ((row0 + y) * T::TW + column) * T::kAStride + quad * 8,
                         make_uint2(pack_half2(sum[y][0], sum[y][1]), pack_half2(sum[y][2], sum[y][3])));
        }
      }
      __syncthreads();
#pragma unroll
      for (int kk = 0; kk < T::CK / 16; ++kk) {
        std::uint32_t f[T::MI][4];
#pragma unroll
        for (int mi = 0; mi < T::MI; ++mi) load_matrix_x4(f[mi], a_rows + mi * 16 * T::kAStride + kk * 32);
#pragma unroll
        for (int nj = 0; nj < T::NI / 2; ++nj) {
          const uint4 b = load_shared_16(weights + ((chunk * 2 + kk) * (T::BN / 16) + nj) * 512 + lane * 16);
#pragma unroll
          for (int mi = 0; mi < T::MI; ++mi) {
            mma_16816(acc[mi][nj * 2], f[mi], b.x, b.y);
            mma_16816(acc[mi][nj * 2 + 1], f[mi], b.z, b.w);
          }
        }
      }
      slot = slot + 1 == T::kStages ? 0 : slot + 1;
    }
    const int tx = tile % a.tiles_x, rest = tile / a.tiles_x, ty = rest % a.tiles_y, image = rest / a.tiles_y;
    long pixels[T::MI][2];
#pragma unroll
    for (int mi = 0; mi < T::MI; ++mi)
#pragma unroll
      for (int upper = 0; upper < 2; ++upper) {
        const int m = (warp * T::MI + mi) * 16 + upper * 8 + lane / 4;
        const int y = ty * T::TH + m / T::TW, x = tx * T::TW + m % T::TW;
        pixels[mi][upper] = y < a.h && x < a.w ? (static_cast<long>(image) * a.h + y) * a.w + x : -1L;
      }
    const std::uint32_t strip = tile_at + warp * T::MI * 16 * T::kKeepStride;
    __syncthreads();  // the rows are kept where the depthwise tile was
    keep_rows<T::MI, T::NI, T::kGroup, T::kKeepStride>(acc, bias, a.silu != 0, strip);
    if (a.tail_cout > 0) {
      multiply_tail<T::MI, T::BN, T::kKeepStride>(strip, tail_weights, a.tail_bias, a.tail_cout, pixels, a.out,
                                                  a.out_pitch);
    } else {
      // The warp's rows leave as whole 16-byte vectors.
      constexpr int kVectors = T::BN / 8;
      for (int v = lane; v < T::MI * 16 * kVectors; v += 32) {
        const int row = v / kVectors, c = v % kVectors * 8, m = warp * T::MI * 16 + row;
        const int y = ty * T::TH + m / T::TW, x = tx * T::TW + m % T::TW;
        if (y < a.h && x < a.w && n0 + c < a.cout)
          *reinterpret_cast<uint4*>(a.out + ((static_cast<long>(image) * a.h + y) * a.w + x) * a.out_pitch + n0 + c) =
              load_shared_16(strip + row * T::kKeepStride + c * 2);
      }
    }
  }
}

template <class T>
DepthwisePointwiseVariant variant(const char* name) {
  return {name, T::TH, T::TW, T::BN, T::kGroup, T::kThreads, T::kFixedBytes, depthwise_pointwise_kernel<T>};
}

}  // namespace

std::size_t DepthwisePointwiseVariant::shared_bytes(int cin, int tail_cout) const noexcept {
  const auto padded = static_cast<std::size_t>((cin + 31) / 32 * 32);
  const auto columns = static_cast<std::size_t>((tail_cout + 15) / 16), wide = static_cast<std::size_t>(bn / 16);
  return fixed_bytes + padded / 16 * wide * 512 + padded * 18 + wide * columns * 512;
}

std::span<const DepthwisePointwiseVariant> depthwise_pointwise_variants() noexcept {
  static const std::array kVariants{
      variant<Tile<8, 16, 64>>("8x16x64"), variant<Tile<8, 8, 64>>("8x8x64"),   variant<Tile<8, 16, 80>>("8x16x80"),
      variant<Tile<8, 8, 80>>("8x8x80"),   variant<Tile<8, 8, 128>>("8x8x128"),
  };
  return kVariants;
}

bool depthwise_pointwise_fits(const DepthwisePointwiseVariant& variant, const DepthwisePointwiseArgs& args) noexcept {
  if (args.cin % 8 != 0 || args.cout % 8 != 0 || (args.tail_cout > 0 && args.cout > variant.bn)) return false;
  return variant.shared_bytes(args.cin, args.tail_cout) <= std::size_t{227} * 1024;
}

cudaError_t launch_depthwise_pointwise(const DepthwisePointwiseVariant& variant, DepthwisePointwiseArgs args,
                                       const LaunchShape& shape, cudaStream_t stream) {
  args.chunks = (args.cin + 31) / 32;
  args.tiles_x = (args.w + variant.tw - 1) / variant.tw;
  args.tiles_y = (args.h + variant.th - 1) / variant.th;
  args.tiles = args.n * args.tiles_x * args.tiles_y;
  const int columns = args.tail_cout > 0 ? 1 : (args.cout + variant.bn - 1) / variant.bn;
  return launch_persistent(variant.function, args, args.tiles, columns, variant.threads,
                           variant.shared_bytes(args.cin, args.tail_cout), shape, stream);
}

}  // namespace gantry::cuda
