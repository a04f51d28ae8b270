#include "engine/cuda/kernels/ptx.cuh"
#include "engine/cuda/kernels/stem.hpp"

namespace gantry::cuda {

namespace {

constexpr int kTileH = 8, kTileW = 16, kThreads = 128, kStages = 3;
constexpr int kPatchH = 2 * kTileH + 1, kPatchW = 2 * kTileW + 2;  // one column more: the reduction's fourth pixel
constexpr int kRowBytes = kPatchW * 8;
constexpr int kPatchBytes = (kPatchH * kRowBytes + 127) / 128 * 128;

/// What: out = act(conv3x3s2(in, W) + bias), pad 1, three channels stored as four
/// In:   f16 [N,H,W,4], 8-byte aligned; weights packed by pack_stem_weights
/// Out:  f16 [N,OH,OW,pitch], channels [0, cout) written
/// Launch: grid (blocks over 8×16 tiles, cout / BN), persistent; 128 threads; static shared memory; sm_80 and later
/// Bounds: any N, H, W ≥ 1; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 accumulation; within 2^-9 relative + 2e-3 of conv_ref
/// Roofline: bytes = 8·H·W + 2·Cout·H·W/4 an image: memory-bound; measured figures: bench/cuda
/// Rejected: padding to 8 channels (twice the input bytes; half of the reduction multiplies zeros). Here a pixel pair
///           is 16 bytes, so that ldmatrix reads overlapping rows straight from the picture
template <int BN>
__global__ void __launch_bounds__(kThreads) stem_kernel(const __grid_constant__ StemArgs a) {
  __shared__ __align__(128) unsigned char patches[kPatchBytes * kStages];
  constexpr int NI = BN / 8, kGroup = BN % 32 == 0 ? 32 : 16, kTiles = kGroup / 8, kOwn = kTiles * 2;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  const int n0 = static_cast<int>(blockIdx.y) * BN, stride = static_cast<int>(gridDim.x);
  const std::uint32_t base = shared_address(patches);

  uint4 b[3][NI / 2];
  const int columns = static_cast<int>(gridDim.y) * BN / 16;
#pragma unroll
  for (int r = 0; r < 3; ++r)
#pragma unroll
    for (int nj = 0; nj < NI / 2; ++nj)
      b[r][nj] = __ldg(reinterpret_cast<const uint4*>(a.weights) + (r * columns + n0 / 16 + nj) * 32 + lane);
  wait_for_predecessors();

  const auto load = [&](int tile, int slot) {
    if (tile < a.tiles) {
      const int tx = tile % a.tiles_x, rest = tile / a.tiles_x, ty = rest % a.tiles_y, image = rest / a.tiles_y;
      const half* const plane = a.in + static_cast<long>(image) * a.h * a.w * 4;
      for (int v = tid; v < kPatchH * kPatchW; v += kThreads) {
        const int y = ty * kTileH * 2 - 1 + v / kPatchW, x = tx * kTileW * 2 - 1 + v % kPatchW;
        const bool valid = static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
                           static_cast<unsigned>(x) < static_cast<unsigned>(a.w);
        const half* source = valid ? plane + (static_cast<long>(y) * a.w + x) * 4 : a.in;
        copy_async_8(base + slot * kPatchBytes + v * 8, source, valid);
      }
    }
    copy_async_commit();
  };
  int ahead = static_cast<int>(blockIdx.x);
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s, ahead += stride) load(ahead, s);

  int slot = 0;
  for (int tile = static_cast<int>(blockIdx.x); tile < a.tiles; tile += stride, ahead += stride) {
    if (tile + stride >= a.tiles) release_successors();  // not earlier: their blocks would take this kernel's room
    copy_async_wait<kStages - 2>();
    __syncthreads();
    load(ahead, (slot + kStages - 1) % kStages);
    float acc[2][NI][4] = {};
#pragma unroll
    for (int mi = 0; mi < 2; ++mi) {
      const int y = warp * 2 + mi, x = lane % 16;  // a fragment is one row of the tile
#pragma unroll
      for (int r = 0; r < 3; ++r) {
        std::uint32_t f[4];
        load_matrix_x4(f, base + slot * kPatchBytes + (2 * y + r) * kRowBytes + x * 16 + lane / 16 * 16);
#pragma unroll
        for (int nj = 0; nj < NI / 2; ++nj) {
          mma_16816(acc[mi][nj * 2], f, b[r][nj].x, b[r][nj].y);
          mma_16816(acc[mi][nj * 2 + 1], f, b[r][nj].z, b[r][nj].w);
        }
      }
    }
    const int tx = tile % a.tiles_x, rest = tile / a.tiles_x, ty = rest % a.tiles_y, image = rest / a.tiles_y;
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int mi = 0; mi < 2; ++mi)
#pragma unroll
      for (int upper = 0; upper < 2; ++upper) {
        const int y = ty * kTileH + warp * 2 + mi, x = tx * kTileW + upper * 8 + g;
        if (y >= a.oh || x >= a.ow) continue;
        half* const pixel = a.out + ((static_cast<long>(image) * a.oh + y) * a.ow + x) * a.out_pitch;
#pragma unroll
        for (int group = 0; group < BN / kGroup; ++group) {
          const int channel = n0 + group * kGroup + t * kOwn;
          if (channel >= a.cout) continue;
          std::uint32_t packed[kTiles];
#pragma unroll
          for (int q = 0; q < kTiles; ++q) {
            const float2 bias = __ldg(reinterpret_cast<const float2*>(a.bias + channel) + q);
            float v0 = acc[mi][group * kTiles + q][upper * 2] + bias.x;
            float v1 = acc[mi][group * kTiles + q][upper * 2 + 1] + bias.y;
            if (a.silu) v0 = silu(v0), v1 = silu(v1);
            packed[q] = pack_half2(v0, v1);
          }
          if constexpr (kOwn == 8) {
            *reinterpret_cast<uint4*>(pixel + channel) = make_uint4(packed[0], packed[1], packed[2], packed[3]);
          } else {
            *reinterpret_cast<uint2*>(pixel + channel) = make_uint2(packed[0], packed[1]);
          }
        }
      }
    slot = slot + 1 == kStages ? 0 : slot + 1;
  }
}

}  // namespace

int stem_block(int cout) noexcept {
  return cout % 64 == 0 ? 64 : cout % 32 == 0 ? 32 : 16;
}

std::vector<__half> pack_stem_weights(const float* weights, int cout) {
  const int bn = stem_block(cout), group = bn % 32 == 0 ? 32 : 16, tiles = group / 8;
  const int columns = (cout + bn - 1) / bn * bn / 16;
  std::vector<__half> packed(static_cast<std::size_t>(3) * columns * 256, __half(0.0F));
  std::size_t at = 0;
  for (int r = 0; r < 3; ++r)
    for (int n16 = 0; n16 < columns; ++n16)
      for (int lane = 0; lane < 32; ++lane)
        for (int e = 0; e < 8; ++e, ++at) {
          const int k = lane % 4 * 2 + e / 2 % 2 * 8 + e % 2, column = lane / 4, s = k / 4, c = k % 4;
          const int tile = n16 * 2 + e / 4;
          const int channel = tile / tiles * group + column / 2 * (tiles * 2) + tile % tiles * 2 + column % 2;
          if (s < 3 && c < 3 && channel < cout) packed[at] = __float2half(weights[((channel * 3 + r) * 3 + s) * 3 + c]);
        }
  return packed;
}

cudaError_t launch_stem(StemArgs args, const LaunchShape& shape, cudaStream_t stream) {
  args.tiles_x = (args.ow + kTileW - 1) / kTileW;
  args.tiles_y = (args.oh + kTileH - 1) / kTileH;
  args.tiles = args.n * args.tiles_x * args.tiles_y;
  const int bn = stem_block(args.cout), columns = (args.cout + bn - 1) / bn;
  const auto kernel = bn == 64 ? stem_kernel<64> : bn == 32 ? stem_kernel<32> : stem_kernel<16>;
  return launch_persistent(kernel, args, args.tiles, columns, kThreads, 0, shape, stream);
}

}  // namespace gantry::cuda
