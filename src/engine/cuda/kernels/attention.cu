#include "engine/cuda/kernels/attention.hpp"

#include <array>

#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr int kKey = kAttentionKeyDim, kHead = kAttentionHeadDim, kThreads = 128;
constexpr int kKeyStride = kKey * 2 + 16, kHeadStride = kHead * 2 + 16, kOutStride = kHead + 4;  // bytes, bytes, floats

/// QW: warps that share a block's queries, 16 each; the other 4 / QW split the keys. TOKENS: keys and values at a time.
template <int QW_, int TOKENS_>
struct Shape {
  static constexpr int QW = QW_, KW = 4 / QW, kQueries = 16 * QW;
  static constexpr int kRun = QW == 4 ? 64 : 32;  // keys a step
  static constexpr int kTokens = TOKENS_, kBlockBytes = kTokens * (kKeyStride + kHeadStride);
  static constexpr int kMergeBytes = KW * kQueries * (kOutStride + 2) * 4;
  static constexpr int kWorkBytes = 2 * kBlockBytes > kMergeBytes ? 2 * kBlockBytes : kMergeBytes;
  static constexpr int kSharedBytes = kWorkBytes + 9 * kHead * 4;
  static_assert(kTokens % kRun == 0);
};

/// What: out[p] = Σ_j softmax_j(scale·q_p·k_j)·v_j + dw3x3(v)[p] + bias, a head at a time, with a running softmax
/// In:   f16 [N,H·W,pitch], 16-byte aligned
/// Out:  f16 [N,H·W,pitch]; must not overlap the input
/// Launch: grid (query tiles, heads, N); 4 warps. QW = 4: 64 queries a block, a warp each 16. QW = 1: 16 queries, the
///       warps take every fourth run of 32 keys and merge in a fixed order
/// Bounds: any H, W ≥ 1; tokens beyond H·W are masked; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 scores, softmax and sums; probabilities rounded to FP16 for the second product; within 4e-3 of
///       attention_ref
/// Roofline: bytes = 2·(128 + 64)·heads·H·W an image, flops = 2·heads·(H·W)²·96; bound by latency at 400 tokens
/// Rejected: scores of a whole row in shared memory (two passes more); the position's neighbours behind branches (36
///       waits for L2 one after the other, longer than all of the attention)
template <class T>
__global__ void __launch_bounds__(kThreads) attention_kernel(const __grid_constant__ AttentionArgs a) {
  constexpr int KW = T::KW, kQueries = T::kQueries, kRun = T::kRun, kTiles = kRun / 8;
  constexpr int kBlockTokens = T::kTokens, kBlockBytes = T::kBlockBytes;
  extern __shared__ __align__(128) unsigned char shared[];
  const int tokens = a.h * a.w;
  const std::uint32_t blocks = shared_address(shared);
  // The partial sums take the place of the keys and values once those have been used.
  float* const merged = reinterpret_cast<float*>(shared);
  float* const stats = merged + KW * kQueries * kOutStride;  // [KW][kQueries][2]: maximum, sum
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32, g = lane / 4, t = lane % 4;
  const int qw = warp / KW, kw = warp % KW;
  const int head = static_cast<int>(blockIdx.y), image = static_cast<int>(blockIdx.z);
  const int first = static_cast<int>(blockIdx.x) * kQueries;
  const half* const base = a.qkv + static_cast<long>(image) * tokens * a.qkv_pitch + head * (2 * kKey + kHead);

  float* const position = reinterpret_cast<float*>(shared + T::kWorkBytes);  // [9][kHead]
  for (int v = tid; v < 9 * kHead / 4; v += kThreads)
    copy_async_16(shared_address(position + v * 4),
                  a.position + v / (kHead / 4) * a.heads * kHead + head * kHead + v % (kHead / 4) * 4, true);
  release_successors();
  wait_for_predecessors();

  std::uint32_t q[2][4];
#pragma unroll
  for (int kk = 0; kk < 2; ++kk)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int token = min(first + qw * 16 + g + r % 2 * 8, tokens - 1);
      q[kk][r] = *reinterpret_cast<const std::uint32_t*>(base + static_cast<long>(token) * a.qkv_pitch + kk * 16 +
                                                         r / 2 * 8 + t * 2);
    }
  const float scale = a.scale * 1.44269504F;  // exp2 instead of exp
  float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, acc[8][4] = {};

  const auto load = [&](int start, int slot) {
    const int rows = (min(kBlockTokens, tokens - start) + kRun - 1) / kRun * kRun;
    const std::uint32_t at = blocks + slot * kBlockBytes;
    for (int v = tid; v < rows * 12; v += kThreads) {
      const int token = v / 12, c = v % 12;
      const bool valid = start + token < tokens;
      const half* source = valid ? base + static_cast<long>(start + token) * a.qkv_pitch + kKey + c * 8 : base;
      copy_async_16(c < 4 ? at + token * kKeyStride + c * 16
                          : at + kBlockTokens * kKeyStride + token * kHeadStride + (c - 4) * 16,
                    source, valid);
    }
  };
  load(0, 0);
  copy_async_commit();
  int slot = 0;
  for (int start = 0; start < tokens; start += kBlockTokens, slot ^= 1) {
    if (start + kBlockTokens < tokens) load(start + kBlockTokens, slot ^ 1);
    copy_async_commit();
    copy_async_wait<1>();
    __syncthreads();
    const int count = min(kBlockTokens, tokens - start), rows = (count + kRun - 1) / kRun * kRun;
    const std::uint32_t keys = blocks + slot * kBlockBytes, values = keys + kBlockTokens * kKeyStride;

    for (int k0 = kw * kRun; k0 < rows; k0 += KW * kRun) {
      float s[kTiles][4] = {};
#pragma unroll
      for (int kk = 0; kk < 2; ++kk)
#pragma unroll
        for (int pair = 0; pair < kTiles / 2; ++pair) {
          std::uint32_t b[4];  // keys 0-7: dims 0-7, 8-15; keys 8-15: the same
          load_matrix_x4(b,
                         keys + (k0 + pair * 16 + lane % 8 + lane / 16 * 8) * kKeyStride + kk * 32 + lane / 8 % 2 * 16);
          mma_16816(s[pair * 2], q[kk], b[0], b[1]);
          mma_16816(s[pair * 2 + 1], q[kk], b[2], b[3]);
        }
      float high[2] = {top[0], top[1]};
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          s[tile][e] = k0 + tile * 8 + t * 2 + e % 2 < count ? s[tile][e] * scale : -INFINITY;
          high[e / 2] = fmaxf(high[e / 2], s[tile][e]);
        }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffU, high[r], 1));
        high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffU, high[r], 2));
        const float shrink = exp2f(top[r] - high[r]);  // the first run: exp2(-inf) = 0
        top[r] = high[r];
        sum[r] *= shrink;
#pragma unroll
        for (int d = 0; d < 8; ++d) acc[d][r * 2] *= shrink, acc[d][r * 2 + 1] *= shrink;
      }
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          s[tile][e] = exp2f(s[tile][e] - top[e / 2]);
          sum[e / 2] += s[tile][e];
        }
#pragma unroll
      for (int pair = 0; pair < kTiles / 2; ++pair) {
        const float(&low)[4] = s[pair * 2];
        const float(&next)[4] = s[pair * 2 + 1];
        const std::uint32_t p[4] = {pack_half2(low[0], low[1]), pack_half2(low[2], low[3]),
                                    pack_half2(next[0], next[1]), pack_half2(next[2], next[3])};
#pragma unroll
        for (int d = 0; d < 4; ++d) {
          std::uint32_t b[4];  // dims 0-7: keys 0-7, 8-15; dims 8-15: the same
          load_matrix_x4_transposed(b, values + (k0 + pair * 16 + lane % 16) * kHeadStride + d * 32 + lane / 16 * 16);
          mma_16816(acc[d * 2], p, b[0], b[1]);
          mma_16816(acc[d * 2 + 1], p, b[2], b[3]);
        }
      }
    }
    __syncthreads();  // everybody is done with this block
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += __shfl_xor_sync(0xffffffffU, sum[r], 1);
    sum[r] += __shfl_xor_sync(0xffffffffU, sum[r], 2);
    const int row = kw * kQueries + qw * 16 + g + r * 8;
    if (t == 0) stats[row * 2] = top[r], stats[row * 2 + 1] = sum[r];
#pragma unroll
    for (int d = 0; d < 8; ++d)
      *reinterpret_cast<float2*>(merged + row * kOutStride + d * 8 + t * 2) =
          make_float2(acc[d][r * 2], acc[d][r * 2 + 1]);
  }
  __syncthreads();

  // A thread keeps eight channels of every 16th row. All nine neighbours are fetched before the first is used.
  const int c = tid % 8 * 8, channel = head * kHead + c;
  const float4 bias[2] = {__ldg(reinterpret_cast<const float4*>(a.position_bias + channel)),
                          __ldg(reinterpret_cast<const float4*>(a.position_bias + channel) + 1)};
  for (int row = tid / 8; row < kQueries; row += kThreads / 8) {
    const int token = first + row, y = token / a.w, x = token % a.w;
    if (token >= tokens) break;
    uint4 near[9];
#pragma unroll
    for (int tap = 0; tap < 9; ++tap) {
      const int py = y + tap / 3 - 1, px = x + tap % 3 - 1;
      const bool inside = py >= 0 && py < a.h && px >= 0 && px < a.w;
      const long at = inside ? py * a.w + px : token;
      near[tap] = *reinterpret_cast<const uint4*>(base + at * a.qkv_pitch + 2 * kKey + c);
      if (!inside) near[tap] = make_uint4(0, 0, 0, 0);
    }
    float high = -INFINITY, total = 0, out[8] = {};
#pragma unroll
    for (int k = 0; k < KW; ++k) high = fmaxf(high, stats[(k * kQueries + row) * 2]);
#pragma unroll
    for (int k = 0; k < KW; ++k) {
      const int at = k * kQueries + row;
      const float weight = exp2f(stats[at * 2] - high);  // 0 for a warp that had no keys
      total += weight * stats[at * 2 + 1];
#pragma unroll
      for (int e = 0; e < 8; ++e) out[e] += weight * merged[at * kOutStride + c + e];
    }
    const float shift[8] = {bias[0].x, bias[0].y, bias[0].z, bias[0].w, bias[1].x, bias[1].y, bias[1].z, bias[1].w};
#pragma unroll
    for (int e = 0; e < 8; ++e) out[e] = out[e] / total + shift[e];
#pragma unroll
    for (int tap = 0; tap < 9; ++tap) {
      const float4 low = *reinterpret_cast<const float4*>(position + tap * kHead + c);
      const float4 next = *reinterpret_cast<const float4*>(position + tap * kHead + c + 4);
      const float2 v0 = unpack_half2(near[tap].x), v1 = unpack_half2(near[tap].y), v2 = unpack_half2(near[tap].z),
                   v3 = unpack_half2(near[tap].w);
      out[0] += low.x * v0.x, out[1] += low.y * v0.y, out[2] += low.z * v1.x, out[3] += low.w * v1.y;
      out[4] += next.x * v2.x, out[5] += next.y * v2.y, out[6] += next.z * v3.x, out[7] += next.w * v3.y;
    }
    *reinterpret_cast<uint4*>(a.out + (static_cast<long>(image) * tokens + token) * a.out_pitch + channel) = make_uint4(
        pack_half2(out[0], out[1]), pack_half2(out[2], out[3]), pack_half2(out[4], out[5]), pack_half2(out[6], out[7]));
  }
}

template <class T>
AttentionVariant variant(const char* name) {
  return {name, T::kQueries, T::kSharedBytes, attention_kernel<T>};
}

}  // namespace

std::span<const AttentionVariant> attention_variants() noexcept {
  static const std::array kVariants{variant<Shape<1, 128>>("16 queries"), variant<Shape<4, 64>>("64 queries")};
  return kVariants;
}

cudaError_t launch_attention(const AttentionVariant& variant, const AttentionArgs& args, const LaunchShape& shape,
                             cudaStream_t stream) {
  if (const cudaError_t error = allow_shared(variant.function, variant.shared_bytes); error != cudaSuccess)
    return error;
  const int tiles = (args.h * args.w + variant.queries - 1) / variant.queries;
  return launch_grid(
      variant.function, args,
      dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(args.heads), static_cast<unsigned>(args.n)), kThreads,
      variant.shared_bytes, shape, stream);
}

}  // namespace gantry::cuda
