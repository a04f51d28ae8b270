#pragma once
// A 1×1 convolution behind another operator, on the tile that the block still holds in shared memory.
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

/// Starts the copy of [K/16][cout/16][lane][8] packed weights into shared memory; join it with the block's first
/// commit.
template <int K>
__device__ __forceinline__ void load_tail_weights(const half* weights, int cout, std::uint32_t target) {
  const int vectors = K / 16 * ((cout + 15) / 16) * 32;
  for (int v = static_cast<int>(threadIdx.x); v < vectors; v += static_cast<int>(blockDim.x))
    copy_async_16(target + v * 16, reinterpret_cast<const uint4*>(weights) + v, true);
}

/// Writes a warp's MI × 16 rows act(acc + bias) as halves, `kStride` bytes a row, channels in natural order.
template <int MI, int NI, int kGroup, int kStride>
__device__ __forceinline__ void keep_rows(const float (&acc)[MI][NI][4], const float* bias, bool activate,
                                          std::uint32_t rows) {
  constexpr int kTiles = kGroup / 8, kOwn = kTiles * 2;
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  __syncwarp();
#pragma unroll
  for (int mi = 0; mi < MI; ++mi)
#pragma unroll
    for (int upper = 0; upper < 2; ++upper)
#pragma unroll
      for (int group = 0; group < NI * 8 / kGroup; ++group) {
        const int channel = group * kGroup + t * kOwn;
        std::uint32_t packed[kTiles];
#pragma unroll
        for (int q = 0; q < kTiles; ++q) {
          float v0 = acc[mi][group * kTiles + q][upper * 2] + bias[channel + q * 2];
          float v1 = acc[mi][group * kTiles + q][upper * 2 + 1] + bias[channel + q * 2 + 1];
          if (activate) v0 = silu(v0), v1 = silu(v1);
          packed[q] = pack_half2(v0, v1);
        }
        const std::uint32_t target = rows + (mi * 16 + upper * 8 + g) * kStride + channel * 2;
        if constexpr (kOwn == 8) {
          store_shared_16(target, make_uint4(packed[0], packed[1], packed[2], packed[3]));
        } else {
          store_shared_8(target, make_uint2(packed[0], packed[1]));
        }
      }
  __syncwarp();
}

/// out[pixel][0, cout) = W·row + bias for the warp's MI × 16 rows; rows whose pixel is negative are not stored.
template <int MI, int K, int kStride>
__device__ __forceinline__ void multiply_tail(std::uint32_t rows, std::uint32_t weights, const float* bias, int cout,
                                              const long (&pixels)[MI][2], half* out, int out_pitch) {
  const int lane = static_cast<int>(threadIdx.x) % 32, t = lane % 4, columns = (cout + 15) / 16;
  const std::uint32_t address = rows + lane % 16 * kStride + lane / 16 * 16;
  std::uint32_t a[MI][K / 16][4];
#pragma unroll
  for (int mi = 0; mi < MI; ++mi)
#pragma unroll
    for (int kk = 0; kk < K / 16; ++kk) load_matrix_x4(a[mi][kk], address + mi * 16 * kStride + kk * 32);
  for (int n16 = 0; n16 < columns; ++n16) {
    float acc[MI][2][4] = {};
#pragma unroll
    for (int kk = 0; kk < K / 16; ++kk) {
      const uint4 b = load_shared_16(weights + (kk * columns + n16) * 512 + lane * 16);
#pragma unroll
      for (int mi = 0; mi < MI; ++mi) {
        mma_16816(acc[mi][0], a[mi][kk], b.x, b.y);
        mma_16816(acc[mi][1], a[mi][kk], b.z, b.w);
      }
    }
    const int channel = n16 * 16 + t * 4;
    if (channel >= cout) continue;
    const float4 shift = __ldg(reinterpret_cast<const float4*>(bias + channel));
#pragma unroll
    for (int mi = 0; mi < MI; ++mi)
#pragma unroll
      for (int upper = 0; upper < 2; ++upper) {
        if (pixels[mi][upper] < 0) continue;
        const float(&c0)[4] = acc[mi][0];
        const float(&c1)[4] = acc[mi][1];
        *reinterpret_cast<uint2*>(out + pixels[mi][upper] * out_pitch + channel) =
            make_uint2(pack_half2(c0[upper * 2] + shift.x, c0[upper * 2 + 1] + shift.y),
                       pack_half2(c1[upper * 2] + shift.z, c1[upper * 2 + 1] + shift.w));
      }
  }
}

}  // namespace gantry::cuda
