#include "engine/cuda/kernels/bottleneck.hpp"

#include <array>

#include "engine/cuda/kernels/wgmma.cuh"

namespace gantry::cuda {

namespace {

constexpr int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}
constexpr int largest_power_of_two(int limit) {
  int p = 1;
  while (p * 2 <= limit) p *= 2;
  return p;
}
/// Pixel stride in shared memory: an odd number of 16-byte units, so that ldmatrix is free of bank conflicts.
constexpr int padded(int channels) {
  return channels * 2 + ((channels / 8) % 2 == 0 ? 16 : 0);
}

/// One of the two convolutions: M pixels × N channels, K = 9·C. An item is MI fragments of 16 pixels a warp by N / NP
/// channels; the teams (a warp, or with TEAM = 4 a warpgroup) take items in turn.
template <int C_, int N_, int M_, int TEAMS, int MI_, int TEAM>
struct Half {
  static constexpr int C = C_, N = N_, M = M_, MI = MI_;
  static constexpr int kStrips = ceil_div(ceil_div(M, 16 * TEAM), MI);
  static constexpr int NP =
      largest_power_of_two(TEAMS / kStrips < 1 ? 1 : (TEAMS / kStrips > N / 16 ? N / 16 : TEAMS / kStrips));
  static constexpr int kWidth = N / NP, NI = kWidth / 8, kItems = kStrips * NP;
  static constexpr int kGroup = kWidth % 32 == 0 ? 32 : 16, kTiles = kGroup / 8, kOwn = kTiles * 2;
  static constexpr int kRowBytes = N / 16 * 512, kWeightBytes = 9 * (C / 16) * kRowBytes;
  static_assert(N % (NP * 16) == 0);
};

template <int C_, int MID_, int TH_, int TW_, int TEAMS_, int MI1_, int MI2_, int STAGES_, int TEAM_ = 1>
struct Tile {
  static constexpr int C = C_, MID = MID_, TH = TH_, TW = TW_, kStages = STAGES_;
  static constexpr int kTeam = TEAM_, kTeams = TEAMS_, kThreads = kTeams * kTeam * 32;
  static constexpr bool kWarpgroup = kTeam == 4;
  static constexpr int MH = TH + 2, MW = TW + 2, PH = TH + 4, PW = TW + 4;
  using First = Half<C, MID, MH * MW, kTeams, MI1_, kTeam>;
  using Second = Half<MID, C, TH * TW, kTeams, MI2_, kTeam>;
  static constexpr int kInStride = padded(C), kMidStride = padded(MID);
  static constexpr int kPatchBytes = ceil_div(PH * PW * kInStride, 128) * 128;
  static constexpr int kMidBytes = ceil_div(MH * MW * kMidStride, 128) * 128;
  static constexpr int kSharedBytes =
      kPatchBytes * kStages + kMidBytes + First::kWeightBytes + Second::kWeightBytes + (C + MID) * 4;
};

/// acc = the item's convolution; `rows` are the lane's ldmatrix addresses of tap (0, 0), `pitch` bytes a patch row.
template <class H, int kStride, int kPatchW, bool kWarpgroup>
__device__ __forceinline__ void convolve(float (&acc)[H::MI][H::NI][4], const std::uint32_t (&rows)[H::MI],
                                         std::uint32_t weights) {
  if constexpr (kWarpgroup) {
    const std::uint64_t b = core_matrix_descriptor(weights);
    std::uint32_t a[2][3][H::MI][4];  // a row of taps is gathered while the last one is still multiplied
#pragma unroll
    for (int run = 0; run < 3 * (H::C / 16); ++run) {
      if (run >= 2) warpgroup_wait<1>();
#pragma unroll
      for (int s = 0; s < 3; ++s)
#pragma unroll
        for (int mi = 0; mi < H::MI; ++mi)
          load_matrix_x4(a[run % 2][s][mi], rows[mi] + (run % 3 * kPatchW + s) * kStride + run / 3 * 32);
      warpgroup_arrive();
#pragma unroll
      for (int s = 0; s < 3; ++s)
#pragma unroll
        for (int mi = 0; mi < H::MI; ++mi)
          wgmma<H::NI>(acc[mi], a[run % 2][s][mi], b + static_cast<std::uint64_t>((run * 3 + s) * (H::kRowBytes / 16)));
      warpgroup_commit();
    }
    warpgroup_wait<0>();
  } else {
#pragma unroll 2
    for (int kk = 0; kk < H::C / 16; ++kk) {
#pragma unroll
      for (int tap = 0; tap < 9; ++tap) {
        std::uint32_t a[H::MI][4];
#pragma unroll
        for (int mi = 0; mi < H::MI; ++mi)
          load_matrix_x4(a[mi], rows[mi] + (tap / 3 * kPatchW + tap % 3) * kStride + kk * 32);
#pragma unroll
        for (int nj = 0; nj < H::NI / 2; ++nj) {
          const uint4 b = load_shared_16(weights + (kk * 9 + tap) * H::kRowBytes + nj * 512);
#pragma unroll
          for (int mi = 0; mi < H::MI; ++mi) {
            mma_16816(acc[mi][nj * 2], a[mi], b.x, b.y);
            mma_16816(acc[mi][nj * 2 + 1], a[mi], b.z, b.w);
          }
        }
      }
    }
  }
}

/// What: out = silu(conv3x3(silu(conv3x3(in, W1) + b1), W2) + b2) (+ in), the map between them in shared memory only
/// In:   f16 [N,H,W,pitch] slice of C channels, 16-byte aligned; weights packed by pack_conv_weights
/// Out:  f16 [N,H,W,pitch] slice of C channels; must not overlap the input
/// Launch: persistent blocks over TH×TW tiles; all weights stay in shared memory; sm_80 and later
/// Bounds: any N, H, W ≥ 1; no over-read; the first convolution is computed on a one-pixel halo again
/// Stream: ordered on `stream`; never synchronises or allocates; fit for programmatic dependent launch
/// Numerics: FP32 accumulation, the middle map rounded to FP16 as the unfused pair would; tolerance as conv
/// Roofline: bytes = 2·C·H·W in + out an image; unfused the middle map is written and read besides; flops = 18·2·C·Mid
///           plus the halo's share; measured figures: bench/cuda
/// Rejected: one warp a strip with all channels (idle warps on small tiles): channels are split among warps there
template <class T>
__global__ void __launch_bounds__(T::kThreads) bottleneck_kernel(const __grid_constant__ BottleneckArgs a) {
  using First = typename T::First;
  using Second = typename T::Second;
  extern __shared__ __align__(128) unsigned char shared[];
  const std::uint32_t patches = shared_address(shared), mid = patches + T::kPatchBytes * T::kStages;
  const std::uint32_t w1 = mid + T::kMidBytes, w2 = w1 + First::kWeightBytes;
  float* const b1 = reinterpret_cast<float*>(shared + T::kPatchBytes * T::kStages + T::kMidBytes + First::kWeightBytes +
                                             Second::kWeightBytes);
  float* const b2 = b1 + T::MID;
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, g = lane / 4, t = lane % 4;
  const int team = tid / 32 / T::kTeam, member = tid / 32 % T::kTeam;
  const int stride = static_cast<int>(gridDim.x);

  for (int i = tid; i < T::MID; i += T::kThreads) b1[i] = a.bias1[i];
  for (int i = tid; i < T::C; i += T::kThreads) b2[i] = a.bias2[i];
  for (int v = tid; v < First::kWeightBytes / 16; v += T::kThreads)
    copy_async_16(w1 + v * 16, reinterpret_cast<const uint4*>(a.weights1) + v, true);
  for (int v = tid; v < Second::kWeightBytes / 16; v += T::kThreads)
    copy_async_16(w2 + v * 16, reinterpret_cast<const uint4*>(a.weights2) + v, true);
  wait_for_predecessors();

  const auto load = [&](int tile, int slot) {
    if (tile < a.tiles) {
      constexpr int kVectors = T::C / 8, kTotal = T::PH * T::PW * kVectors;
      const int tx = tile % a.tiles_x, rest = tile / a.tiles_x, ty = rest % a.tiles_y, image = rest / a.tiles_y;
      const half* const plane = a.in + static_cast<long>(image) * a.h * a.w * a.in_pitch;
#pragma unroll 4
      for (int v = tid; v < kTotal; v += T::kThreads) {
        const int pixel = v / kVectors, c = v % kVectors * 8;
        const int y = ty * T::TH - 2 + pixel / T::PW, x = tx * T::TW - 2 + pixel % T::PW;
        const bool valid = static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
                           static_cast<unsigned>(x) < static_cast<unsigned>(a.w);
        const half* source = valid ? plane + (static_cast<long>(y) * a.w + x) * a.in_pitch + c : a.in;
        copy_async_16(patches + slot * T::kPatchBytes + pixel * T::kInStride + c * 2, source, valid);
      }
    }
    copy_async_commit();
  };

  int slot = 0;
  load(static_cast<int>(blockIdx.x), 0);
  for (int tile = static_cast<int>(blockIdx.x); tile < a.tiles; tile += stride) {
    if (tile + stride >= a.tiles) release_successors();  // not earlier: their blocks would take this kernel's room
    copy_async_wait<0>();
    if constexpr (T::kWarpgroup) publish_to_tensor_cores();  // the weights, before their first use
    __syncthreads();  // the patch is here, and everybody is done with the last tile's
    if constexpr (T::kStages == 2) load(tile + stride, slot ^ 1);
    const std::uint32_t patch = patches + slot * T::kPatchBytes;
    const int tx = tile % a.tiles_x, rest = tile / a.tiles_x, ty = rest % a.tiles_y, image = rest / a.tiles_y;
    const int y0 = ty * T::TH, x0 = tx * T::TW;

    for (int item = team; item < First::kItems; item += T::kTeams) {
      const int strip = item / First::NP, part = item % First::NP;
      float acc[First::MI][First::NI][4] = {};
      std::uint32_t rows[First::MI];
#pragma unroll
      for (int mi = 0; mi < First::MI; ++mi) {
        const int m = min(((strip * First::MI + mi) * T::kTeam + member) * 16 + lane % 16, First::M - 1);
        rows[mi] = patch + (m / T::MW * T::PW + m % T::MW) * T::kInStride + lane / 16 * 16;
      }
      convolve<First, T::kInStride, T::PW, T::kWarpgroup>(
          acc, rows, w1 + part * (First::NI / 2) * 512 + (T::kWarpgroup ? 0 : lane * 16));
#pragma unroll
      for (int mi = 0; mi < First::MI; ++mi)
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) {
          const int m = ((strip * First::MI + mi) * T::kTeam + member) * 16 + upper * 8 + g;
          if (m >= First::M) continue;
          const int y = y0 - 1 + m / T::MW, x = x0 - 1 + m % T::MW;
          const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
                              static_cast<unsigned>(x) < static_cast<unsigned>(a.w);
#pragma unroll
          for (int group = 0; group < First::kWidth / First::kGroup; ++group) {
            const int channel = part * First::kWidth + group * First::kGroup + t * First::kOwn;
            std::uint32_t packed[First::kTiles];
#pragma unroll
            for (int q = 0; q < First::kTiles; ++q) {
              const float(&c)[4] = acc[mi][group * First::kTiles + q];
              // Outside the map the second convolution sees its own padding, not the first one's values.
              packed[q] = inside ? pack_half2(silu(c[upper * 2] + b1[channel + q * 2]),
                                              silu(c[upper * 2 + 1] + b1[channel + q * 2 + 1]))
                                 : 0U;
            }
            const std::uint32_t target = mid + m * T::kMidStride + channel * 2;
            if constexpr (First::kOwn == 8) {
              store_shared_16(target, make_uint4(packed[0], packed[1], packed[2], packed[3]));
            } else {
              store_shared_8(target, make_uint2(packed[0], packed[1]));
            }
          }
        }
    }
    __syncthreads();

    for (int item = team; item < Second::kItems; item += T::kTeams) {
      const int strip = item / Second::NP, part = item % Second::NP;
      float acc[Second::MI][Second::NI][4] = {};
      std::uint32_t rows[Second::MI];
#pragma unroll
      for (int mi = 0; mi < Second::MI; ++mi) {
        const int m = min(((strip * Second::MI + mi) * T::kTeam + member) * 16 + lane % 16, Second::M - 1);
        rows[mi] = mid + (m / T::TW * T::MW + m % T::TW) * T::kMidStride + lane / 16 * 16;
      }
      convolve<Second, T::kMidStride, T::MW, T::kWarpgroup>(
          acc, rows, w2 + part * (Second::NI / 2) * 512 + (T::kWarpgroup ? 0 : lane * 16));
#pragma unroll
      for (int mi = 0; mi < Second::MI; ++mi)
#pragma unroll
        for (int upper = 0; upper < 2; ++upper) {
          const int m = ((strip * Second::MI + mi) * T::kTeam + member) * 16 + upper * 8 + g, ly = m / T::TW,
                    lx = m % T::TW;
          const int y = y0 + ly, x = x0 + lx;
          if (m >= Second::M || y >= a.h || x >= a.w) continue;
          half* const pixel = a.out + ((static_cast<long>(image) * a.h + y) * a.w + x) * a.out_pitch;
#pragma unroll
          for (int group = 0; group < Second::kWidth / Second::kGroup; ++group) {
            const int channel = part * Second::kWidth + group * Second::kGroup + t * Second::kOwn;
            const unsigned char* const source =
                shared + slot * T::kPatchBytes + ((ly + 2) * T::PW + lx + 2) * T::kInStride + channel * 2;
            std::uint32_t packed[Second::kTiles];
#pragma unroll
            for (int q = 0; q < Second::kTiles; ++q) {
              const float(&c)[4] = acc[mi][group * Second::kTiles + q];
              float v0 = silu(c[upper * 2] + b2[channel + q * 2]);
              float v1 = silu(c[upper * 2 + 1] + b2[channel + q * 2 + 1]);
              if (a.add) {
                const float2 r = unpack_half2(reinterpret_cast<const std::uint32_t*>(source)[q]);
                v0 += r.x, v1 += r.y;
              }
              packed[q] = pack_half2(v0, v1);
            }
            if constexpr (Second::kOwn == 8) {
              *reinterpret_cast<uint4*>(pixel + channel) = make_uint4(packed[0], packed[1], packed[2], packed[3]);
            } else {
              *reinterpret_cast<uint2*>(pixel + channel) = make_uint2(packed[0], packed[1]);
            }
          }
        }
    }
    if constexpr (T::kStages == 2) {
      slot ^= 1;
    } else {
      __syncthreads();
      load(tile + stride, 0);
    }
  }
}

template <class T>
BottleneckVariant variant(const char* name) {
  return {name,
          T::C,
          T::MID,
          T::TH,
          T::TW,
          T::First::kGroup,
          T::Second::kGroup,
          T::kThreads,
          T::kSharedBytes,
          T::kWarpgroup,
          bottleneck_kernel<T>};
}

}  // namespace

std::span<const BottleneckVariant> bottleneck_variants() noexcept {
  //           C  MID TH TW teams MI MI stages team
  static const std::array kVariants{
      variant<Tile<16, 16, 8, 16, 4, 3, 2, 2>>("16/16 8x16"),
      variant<Tile<32, 16, 8, 16, 4, 3, 2, 2>>("32/16 8x16"),
      variant<Tile<32, 16, 4, 8, 4, 1, 1, 1>>("32/16 4x8"),
      variant<Tile<32, 32, 8, 16, 4, 3, 2, 1>>("32/32 8x16"),
      variant<Tile<32, 32, 4, 8, 8, 1, 1, 1>>("32/32 4x8"),
      variant<Tile<64, 32, 8, 8, 8, 1, 1, 1>>("64/32 8x8"),
      variant<Tile<64, 32, 4, 8, 8, 1, 1, 1>>("64/32 4x8"),
      variant<Tile<64, 64, 8, 8, 8, 1, 1, 1>>("64/64 8x8"),
      variant<Tile<64, 64, 4, 8, 8, 1, 1, 1>>("64/64 4x8"),
      variant<Tile<16, 16, 8, 16, 1, 1, 1, 2, 4>>("wg16/16 8x16"),
      variant<Tile<32, 16, 8, 16, 1, 1, 1, 2, 4>>("wg32/16 8x16"),
      variant<Tile<32, 16, 8, 8, 2, 1, 1, 2, 4>>("wg32/16 8x8"),
      variant<Tile<32, 32, 8, 16, 1, 1, 1, 1, 4>>("wg32/32 8x16"),
      variant<Tile<32, 32, 8, 8, 2, 1, 1, 1, 4>>("wg32/32 8x8"),
      variant<Tile<64, 32, 8, 16, 1, 1, 1, 1, 4>>("wg64/32 8x16"),
      variant<Tile<64, 32, 8, 8, 2, 1, 1, 1, 4>>("wg64/32 8x8"),
      variant<Tile<64, 64, 8, 8, 2, 1, 1, 2, 4>>("wg64/64 8x8"),
      variant<Tile<64, 64, 4, 8, 2, 1, 1, 1, 4>>("wg64/64 4x8"),
  };
  return kVariants;
}

cudaError_t launch_bottleneck(const BottleneckVariant& variant, BottleneckArgs args, const LaunchShape& shape,
                              cudaStream_t stream) {
  args.tiles_x = (args.w + variant.tw - 1) / variant.tw;
  args.tiles_y = (args.h + variant.th - 1) / variant.th;
  args.tiles = args.n * args.tiles_x * args.tiles_y;
  return launch_persistent(variant.function, args, args.tiles, 1, variant.threads, variant.shared_bytes, shape, stream);
}

}  // namespace gantry::cuda
