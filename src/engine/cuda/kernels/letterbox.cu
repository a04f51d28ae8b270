#include "engine/cuda/kernels/letterbox.hpp"
#include "engine/cuda/kernels/ptx.cuh"
#include "gantry/core/image.hpp"

namespace gantry::cuda {

namespace {

constexpr int kPadding = 114;  // Ultralytics' grey

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

/// A pixel as two words of halves. value / 255 and value · (1 / 255) are the same half for every byte.
__device__ __forceinline__ uint2 pack_pixel(int r, int g, int b) {
  constexpr float kScale = 1.0F / 255.0F;
  return make_uint2(pack_half2(static_cast<float>(r) * kScale, static_cast<float>(g) * kScale),
                    pack_half2(static_cast<float>(b) * kScale, 0.0F));
}

/// Four pixels of a picture at half its size: every tap weighs the same, so OpenCV's two roundings come to one mean of
/// four, and the four share one chroma sample. Three reads of 8 bytes instead of some fifty of one.
__device__ __forceinline__ void half_size(const LetterboxPicture& p, int inner_x, int inner_y, uint2 (&out)[4]) {
  const std::uint8_t* const upper_row = p.planes[0] + 2 * inner_y * p.strides[0] + 2 * inner_x;
  const uint2 upper = __ldg(reinterpret_cast<const uint2*>(upper_row));
  const uint2 lower = __ldg(reinterpret_cast<const uint2*>(upper_row + p.strides[0]));
  const uint2 uv = __ldg(reinterpret_cast<const uint2*>(p.planes[1] + inner_y * p.strides[1] + 2 * inner_x));
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int shift = i % 2 * 16;
    const unsigned above = (i < 2 ? upper.x : upper.y) >> shift, below = (i < 2 ? lower.x : lower.y) >> shift;
    const unsigned chroma = (i < 2 ? uv.x : uv.y) >> shift;
    const int u = 8 * (static_cast<int>(chroma & 0xff) - 128), v = 8 * (static_cast<int>(chroma >> 8 & 0xff) - 128);
    const int red = v * p.v_to_r >> 16, green = (u * p.u_to_g >> 16) + (v * p.v_to_g >> 16), blue = u * p.u_to_b >> 16;
    int r = 2, g = 2, b = 2;
#pragma unroll
    for (int tap = 0; tap < 4; ++tap) {
      const int y = luma_part(p, (tap < 2 ? above : below) >> tap % 2 * 8 & 0xff);
      r += to_byte(y + red), g += to_byte(y + green), b += to_byte(y + blue);
    }
    out[i] = pack_pixel(r >> 2, g >> 2, b >> 2);
  }
}

/// What: letterbox: colour conversion, bilinear resize in OpenCV's fixed point, grey padding, u8 / 255 in FP16
/// In:   u8 NV12, I420, BGR or RGB planes on the card, any size and stride a picture
/// Out:  f16 [N,H,W,4], R, G, B and 0; every element written
/// Launch: grid (W / 128, H / 8, N); 32×8 threads, four neighbouring pixels each; sm_80 and later
/// Bounds: any source size ≥ 1×1; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: integers as vision::letterbox_reference, bit for bit; FP16 nearest of value / 255
/// Roofline: bytes = source planes + 8·W·H an image: memory-bound at half size, else bound by four conversions a pixel
/// Rejected: tables of taps in memory (a read a pixel; four rounded operations are cheaper); two pixels a thread with
///           reads of single bytes for every picture (33 % of the copy rate at 720p)
__global__ void __launch_bounds__(256, 4) letterbox_kernel(const __grid_constant__ LetterboxArgs a) {
  __shared__ LetterboxPicture picture;
  const int thread = static_cast<int>(threadIdx.x), image = static_cast<int>(blockIdx.z);
  release_successors();
  wait_for_predecessors();
  constexpr int kWords = sizeof(LetterboxPicture) / 4;
  if (thread < kWords)
    reinterpret_cast<std::uint32_t*>(&picture)[thread] =
        reinterpret_cast<const std::uint32_t*>(a.pictures + image)[thread];
  __syncthreads();
  const int x0 = (static_cast<int>(blockIdx.x) * 32 + thread % 32) * 4;
  const int y = static_cast<int>(blockIdx.y) * 8 + thread / 32;
  if (x0 >= a.width || y >= a.height) return;
  const LetterboxPicture& p = picture;
  const int inner_y = y - p.top;
  const bool row_inside = static_cast<unsigned>(inner_y) < static_cast<unsigned>(p.inner_height);
  uint2 pixels[4];
#pragma unroll
  for (uint2& pixel : pixels) pixel = pack_pixel(kPadding, kPadding, kPadding);
  if (row_inside && p.half != 0) {
    // Four pixels lie inside or outside together.
    const int inner_x = x0 - p.left;
    if (static_cast<unsigned>(inner_x) < static_cast<unsigned>(p.inner_width)) half_size(p, inner_x, inner_y, pixels);
  } else if (row_inside) {
    const Tap row = tap_of(inner_y, p.scale_y, p.height, false);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int inner_x = x0 + i - p.left;
      if (static_cast<unsigned>(inner_x) >= static_cast<unsigned>(p.inner_width)) continue;
      const Tap column = tap_of(inner_x, p.scale_x, p.width, true);
      const Rgb upper = across(p, column, row.first), lower = across(p, column, row.second);
      pixels[i] = pack_pixel(down(upper.r, lower.r, row), down(upper.g, lower.g, row), down(upper.b, lower.b, row));
    }
  }
  __half* const out = a.out + ((static_cast<long>(image) * a.height + y) * a.width + x0) * 4;
  *reinterpret_cast<uint4*>(out) = make_uint4(pixels[0].x, pixels[0].y, pixels[1].x, pixels[1].y);
  if (x0 + 2 < a.width)  // the width is even
    *reinterpret_cast<uint4*>(out + 8) = make_uint4(pixels[2].x, pixels[2].y, pixels[3].x, pixels[3].y);
}

}  // namespace

bool halves(const LetterboxPicture& p) noexcept {
  const auto aligned = [&](std::size_t plane) {
    return reinterpret_cast<std::uintptr_t>(p.planes[plane]) % 8 == 0 && p.strides[plane] % 8 == 0;
  };
  return p.format == static_cast<int>(PixelFormat::kNv12) && p.width == 2 * p.inner_width &&
         p.height == 2 * p.inner_height && p.width % 8 == 0 && p.left % 4 == 0 && aligned(0) && aligned(1);
}

cudaError_t launch_letterbox(const LetterboxArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(letterbox_kernel, args,
                     dim3(static_cast<unsigned>((args.width + 127) / 128), static_cast<unsigned>((args.height + 7) / 8),
                          static_cast<unsigned>(args.n)),
                     256, 0, shape, stream);
}

}  // namespace gantry::cuda
