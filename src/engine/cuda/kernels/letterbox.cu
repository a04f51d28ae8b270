#include "engine/cuda/kernels/letterbox.hpp"
#include "engine/cuda/kernels/ptx.cuh"
#include "gantry/core/image.hpp"

namespace gantry::cuda {

namespace {

constexpr unsigned kPadding = vision::kPadding;

struct Tap {
  int first, second, weight_first, weight_second;
};

/// vision's resize taps (OpenCV's INTER_LINEAR for bytes), rounding for rounding: no contraction into multiply-adds.
__device__ __forceinline__ Tap tap_of(int i, double scale, int source, bool edge_takes_all) {
  const auto position = static_cast<float>(__dadd_rn(__dmul_rn(i + 0.5, scale), -0.5));
  int whole = __float2int_rd(position);
  float fraction = __fsub_rn(position, static_cast<float>(whole));
  if (edge_takes_all && (whole < 0 || whole >= source - 1)) {
    fraction = 0;
    whole = min(max(whole, 0), source - 1);
  }
  return {min(max(whole, 0), source - 1), min(max(whole + 1, 0), source - 1),
          __float2int_rn(__fmul_rn(__fsub_rn(1.0F, fraction), 2048.0F)), __float2int_rn(__fmul_rn(fraction, 2048.0F))};
}

struct Rgb {
  int r, g, b;
};

/// Clamped to 0…255; one instruction on 9.0.
__device__ __forceinline__ int to_byte(int value) {
  return __vimin_s32_relu(value, 255);
}

/// The colour part of a chroma sample, before the luma is added.
__device__ __forceinline__ Rgb chroma_of(const LetterboxPicture& p, int x, int y) {
  int u = 0, v = 0;
  if (p.format == static_cast<int>(PixelFormat::kNv12)) {
    const std::uint8_t* at = p.planes[1] + (y >> 1) * p.strides[1] + (x >> 1) * 2;
    u = __ldg(at), v = __ldg(at + 1);
  } else {
    u = __ldg(p.planes[1] + (y >> 1) * p.strides[1] + (x >> 1));
    v = __ldg(p.planes[2] + (y >> 1) * p.strides[2] + (x >> 1));
  }
  u = 8 * (u - 128), v = 8 * (v - 128);
  return {v * p.v_to_r >> 16, (u * p.u_to_g >> 16) + (v * p.v_to_g >> 16), u * p.u_to_b >> 16};
}

__device__ __forceinline__ int luma_part(const LetterboxPicture& p, unsigned luma) {
  return (8 * static_cast<int>(luma) - p.y_offset) * p.y >> 16;
}

__device__ __forceinline__ Rgb with_luma(const LetterboxPicture& p, const Rgb& chroma, int x, int y) {
  const int luma = luma_part(p, __ldg(p.planes[0] + y * p.strides[0] + x));
  return {to_byte(luma + chroma.r), to_byte(luma + chroma.g), to_byte(luma + chroma.b)};
}

__device__ __forceinline__ Rgb packed_pixel(const LetterboxPicture& p, int x, int y) {
  const std::uint8_t* at = p.planes[0] + y * p.strides[0] + x * 3;
  const int a = __ldg(at), b = __ldg(at + 1), c = __ldg(at + 2);
  return p.format == static_cast<int>(PixelFormat::kBgr24) ? Rgb{c, b, a} : Rgb{a, b, c};
}

/// Two neighbouring source pixels of one row, weighted across: 11 bits below the point.
__device__ __forceinline__ Rgb across(const LetterboxPicture& p, const Tap& column, int y) {
  Rgb first, second;
  if (p.format == static_cast<int>(PixelFormat::kNv12) || p.format == static_cast<int>(PixelFormat::kI420)) {
    const Rgb chroma = chroma_of(p, column.first, y);
    first = with_luma(p, chroma, column.first, y);
    second = with_luma(p, column.second >> 1 == column.first >> 1 ? chroma : chroma_of(p, column.second, y),
                       column.second, y);
  } else {
    first = packed_pixel(p, column.first, y);
    second = packed_pixel(p, column.second, y);
  }
  return {first.r * column.weight_first + second.r * column.weight_second,
          first.g * column.weight_first + second.g * column.weight_second,
          first.b * column.weight_first + second.b * column.weight_second};
}

__device__ __forceinline__ int down(int upper, int lower, const Tap& row) {
  return ((row.weight_first * (upper >> 4) >> 16) + (row.weight_second * (lower >> 4) >> 16) + 2) >> 2;
}

/// Two neighbouring pixels of the output: a channel a word, the left pixel's byte in its lower half.
struct Pair {
  unsigned r, g, b;
};

/// The upper halves of two words: what is left of both after a shift by 16.
__device__ __forceinline__ unsigned upper_halves(int low, int high) {
  return __byte_perm(static_cast<unsigned>(low), static_cast<unsigned>(high), 0x7632);
}

/// Two pixels of a picture at half its size: every tap weighs the same, so OpenCV's two roundings come to one mean of
/// four, and the four share one chroma sample. `upper` and `lower` are four source pixels of two rows, `uv` their two
/// chroma samples. Both pixels go through every operation at once, 16 bits each; on 9.0 sum and clamp are one
/// instruction.
__device__ __forceinline__ Pair half_size(const LetterboxPicture& p, unsigned upper, unsigned lower, unsigned uv) {
  constexpr unsigned kByte = 0x00ff00ffU, kWide = 0x7fff7fffU;
  const auto byte = [](unsigned word, int i) { return static_cast<int>(word >> i * 8 & 0xff); };
  const auto scaled = [](int sample, int black, int factor) { return 8 * (sample - black) * factor; };
  const int u0 = byte(uv, 0), v0 = byte(uv, 1), u1 = byte(uv, 2), v1 = byte(uv, 3);
  const unsigned red = upper_halves(scaled(v0, 128, p.v_to_r), scaled(v1, 128, p.v_to_r));
  const unsigned blue = upper_halves(scaled(u0, 128, p.u_to_b), scaled(u1, 128, p.u_to_b));
  const unsigned green = __viaddmin_s16x2(upper_halves(scaled(u0, 128, p.u_to_g), scaled(u1, 128, p.u_to_g)),
                                          upper_halves(scaled(v0, 128, p.v_to_g), scaled(v1, 128, p.v_to_g)), kWide);
  Pair sum{0x00020002U, 0x00020002U, 0x00020002U};
#pragma unroll
  for (int tap = 0; tap < 4; ++tap) {
    const unsigned row = tap < 2 ? upper : lower;
    const auto luma = [&](int i) { return (8 * byte(row, i) - p.y_offset) * p.y; };
    const unsigned both = upper_halves(luma(tap % 2), luma(tap % 2 + 2));
    sum.r += __viaddmin_s16x2_relu(both, red, kByte);
    sum.g += __viaddmin_s16x2_relu(both, green, kByte);
    sum.b += __viaddmin_s16x2_relu(both, blue, kByte);
  }
  return {sum.r >> 2 & kByte, sum.g >> 2 & kByte, sum.b >> 2 & kByte};
}

/// Two bytes as halves of byte / 255: 1024 + v is a half by its bits, v / 256 is exact, and
/// v / 256 + v / 256 · (1 / 255) rounds to the same half as v / 255 for every byte.
__device__ __forceinline__ std::uint32_t to_halves(unsigned bytes) {
  const unsigned bits = bytes | 0x64006400U;
  const __half2 v =
      __hfma2(*reinterpret_cast<const __half2*>(&bits), __float2half2_rn(1.0F / 256.0F), __float2half2_rn(-4.0F));
  const __half2 scaled = __hfma2(v, __float2half2_rn(1.0F / 255.0F), v);
  return *reinterpret_cast<const std::uint32_t*>(&scaled);
}

__device__ __forceinline__ uint4 pack_pixels(const Pair& pixels) {
  const std::uint32_t r = to_halves(pixels.r), g = to_halves(pixels.g), b = to_halves(pixels.b);
  return make_uint4(__byte_perm(r, g, 0x5410), b & 0xffffU, __byte_perm(r, g, 0x7632), b >> 16);
}

/// A thread's part of the sums of vision::QualityTotals, row by row from the top.
struct Tally {
  unsigned pixels = 0, sum = 0, squares = 0, steps = 0, step_count = 0;
  unsigned before = 0, before_inside = 0;  ///< the row above: brightness, and which of its two pixels count

  /// `inside`: bit 0 for the left pixel, bit 1 for the right one.
  __device__ __forceinline__ void add_row(const Pair& p, unsigned inside) {
    const unsigned now = (77 * p.r + 150 * p.g + 29 * p.b) >> 8 & 0x00ff00ffU;
    const unsigned left = now & 0xff, right = now >> 16, both = inside & before_inside;
    if (inside & 1U) sum += left, squares += left * left, ++pixels;
    if (inside & 2U) sum += right, squares += right * right, ++pixels;
    if (inside == 3U) steps = __usad(left, right, steps), ++step_count;
    if (both & 1U) steps = __usad(left, before & 0xff, steps), ++step_count;
    if (both & 2U) steps = __usad(right, before >> 16, steps), ++step_count;
    before = now, before_inside = inside;
  }
};

constexpr int kThreads = 256, kRows = 4, kBlockColumns = 64, kBlockRows = kThreads / 32 * kRows;
static_assert(kBlockColumns == vision::kQualityColumns && kBlockRows == vision::kQualityRows,
              "a block judges one part of the picture");

/// Adds a block's tallies to the picture's and judges whether its part is covered. Every thread of the block calls it.
__device__ __forceinline__ void add_up(const Tally& tally, vision::QualityTotals& totals) {
  __shared__ unsigned of_block[5];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < 5) of_block[thread] = 0;
  __syncthreads();
  const unsigned mine[5] = {tally.pixels, tally.sum, tally.squares, tally.steps, tally.step_count};
#pragma unroll
  for (int i = 0; i < 5; ++i) {
    const unsigned of_warp = __reduce_add_sync(0xffffffffU, mine[i]);
    if (thread % 32 == 0) atomicAdd(of_block + i, of_warp);
  }
  __syncthreads();
  if (thread != 0 || of_block[0] == 0) return;
  const auto add = [](std::uint64_t& total, unsigned value) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&total), static_cast<unsigned long long>(value));
  };
  add(totals.sum, of_block[1]), add(totals.squares, of_block[2]), add(totals.steps, of_block[3]);
  if (vision::quality_covered(of_block[0], of_block[1], of_block[2], of_block[3], of_block[4]))
    add(totals.covered, of_block[0]);
}

/// What: letterbox: colour conversion, bilinear resize in OpenCV's fixed point, grey padding, u8 / 255 in FP16; with
///       `measured` also the sums of a quality score out of the pixels that pass through
/// In:   u8 NV12, I420, BGR or RGB planes on the card, any size and stride a picture
/// Out:  f16 [N,H,W,4], R, G, B and 0; every element written. Sums of each picture
/// Launch: grid (W / 64, H / 32, N); 32×8 threads, two neighbouring pixels of four rows each; sm_80 and later
/// Bounds: any source size ≥ 1×1; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: integers as vision::letterbox_reference, bit for bit; FP16 nearest of value / 255. Sums are integers, so
///           their order does not matter
/// Roofline: bytes = source planes + 8·W·H an image: memory-bound at half size, else bound by four conversions a pixel.
///           A warp's store is 512 bytes in one piece; the twelve reads of a thread are under way together
/// Rejected: tables of taps in memory (a read a pixel; four rounded operations are cheaper); reads of single bytes for
///           every picture (33 % of the copy rate at 720p); four pixels a thread (two stores of half a sector each);
///           descriptions in device memory (a copy and a wait of their own ahead of the kernel)
template <bool measured>
__global__ void __launch_bounds__(kThreads, 4) letterbox_kernel(const __grid_constant__ LetterboxArgs a) {
  const int thread = static_cast<int>(threadIdx.x), image = static_cast<int>(blockIdx.z);
  release_successors();
  wait_for_predecessors();
  const LetterboxPicture& p = a.pictures[image];
  const int x = static_cast<int>(blockIdx.x) * kBlockColumns + thread % 32 * 2;
  const int y0 = static_cast<int>(blockIdx.y) * kBlockRows + thread / 32 * kRows;
  const int inner_x = x - p.left;
  const bool left_inside = static_cast<unsigned>(inner_x) < static_cast<unsigned>(p.inner_width);
  const bool right_inside = static_cast<unsigned>(inner_x + 1) < static_cast<unsigned>(p.inner_width);
  const unsigned columns = x < a.width ? (left_inside ? 1U : 0U) | (right_inside ? 2U : 0U) : 0U;
  const auto row_inside = [&](int i) {
    return static_cast<unsigned>(y0 + i - p.top) < static_cast<unsigned>(p.inner_height);
  };
  const Pair grey{kPadding | kPadding << 16, kPadding | kPadding << 16, kPadding | kPadding << 16};
  __half* const out = a.out + ((static_cast<long>(image) * a.height + y0) * a.width + x) * 4;
  [[maybe_unused]] Tally tally;
  const auto finish = [&](int i, const Pair& pixels) {
    if (x < a.width && y0 + i < a.height)
      *reinterpret_cast<uint4*>(out + static_cast<long>(i) * a.width * 4) = pack_pixels(pixels);
    if constexpr (measured) tally.add_row(pixels, row_inside(i) ? columns : 0);
  };
  if (p.half != 0) {
    // Both pixels lie inside or outside together.
    unsigned upper[kRows] = {}, lower[kRows] = {}, uv[kRows] = {};
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (columns == 0 || !row_inside(i)) continue;
      const int inner_y = y0 + i - p.top;
      const std::uint8_t* const row = p.planes[0] + 2 * inner_y * p.strides[0] + 2 * inner_x;
      upper[i] = __ldg(reinterpret_cast<const unsigned*>(row));
      lower[i] = __ldg(reinterpret_cast<const unsigned*>(row + p.strides[0]));
      uv[i] = __ldg(reinterpret_cast<const unsigned*>(p.planes[1] + inner_y * p.strides[1] + 2 * inner_x));
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i)
      finish(i, columns != 0 && row_inside(i) ? half_size(p, upper[i], lower[i], uv[i]) : grey);
  } else {
    const Tap taps[2] = {tap_of(inner_x, p.scale_x, p.width, true), tap_of(inner_x + 1, p.scale_x, p.width, true)};
#pragma unroll 1
    for (int i = 0; i < kRows; ++i) {
      Pair pixels = grey;
      if (row_inside(i)) {
        const Tap row = tap_of(y0 + i - p.top, p.scale_y, p.height, false);
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          if ((columns >> side & 1U) == 0) continue;
          const Rgb upper = across(p, taps[side], row.first), lower = across(p, taps[side], row.second);
          const auto put = [&](unsigned& pair, int value) {
            pair = __byte_perm(pair, static_cast<unsigned>(value), side == 0 ? 0x3254 : 0x5410);
          };
          put(pixels.r, down(upper.r, lower.r, row));
          put(pixels.g, down(upper.g, lower.g, row));
          put(pixels.b, down(upper.b, lower.b, row));
        }
      }
      finish(i, pixels);
    }
  }
  if constexpr (measured) add_up(tally, a.quality[image]);
}

}  // namespace

bool halves(const LetterboxPicture& p) noexcept {
  const auto aligned = [&](std::size_t plane) {
    return reinterpret_cast<std::uintptr_t>(p.planes[plane]) % 4 == 0 && p.strides[plane] % 4 == 0;
  };
  return p.format == static_cast<int>(PixelFormat::kNv12) && p.width == 2 * p.inner_width &&
         p.height == 2 * p.inner_height && p.width % 4 == 0 && p.left % 2 == 0 && aligned(0) && aligned(1);
}

cudaError_t launch_letterbox(const LetterboxArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  const auto blocks = [](int pixels, int of_block) {
    return static_cast<unsigned>((pixels + of_block - 1) / of_block);
  };
  return launch_grid(
      args.quality != nullptr ? letterbox_kernel<true> : letterbox_kernel<false>, args,
      dim3(blocks(args.width, kBlockColumns), blocks(args.height, kBlockRows), static_cast<unsigned>(args.n)), kThreads,
      0, shape, stream);
}

}  // namespace gantry::cuda
