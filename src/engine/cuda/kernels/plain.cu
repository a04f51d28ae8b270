#include "engine/cuda/kernels/plain.hpp"
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr int kThreads = 256;

unsigned blocks_for(long items) {
  return static_cast<unsigned>((items + kThreads - 1) / kThreads);
}

/// What: out = act(conv(in, W) + bias) + residual for any window; the reduction in order of (row, column, channel)
/// Launch: one thread an output element, channels fastest; sm_80 and later. Bounds: none. Stream: ordered; no waits
/// Numerics: FP32. Roofline: not meant to be near it (no reuse beyond the caches)
__global__ void __launch_bounds__(kThreads) plain_conv_kernel(const __grid_constant__ PlainConvArgs a) {
  release_successors();
  wait_for_predecessors();
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<long>(a.n) * a.oh * a.ow * a.cout) return;
  const int channel = static_cast<int>(i % a.cout);
  const long pixel = i / a.cout;
  const int x = static_cast<int>(pixel % a.ow), y = static_cast<int>(pixel / a.ow % a.oh);
  const long image = pixel / a.ow / a.oh;
  float sum = 0;
  for (int r = 0; r < a.kernel; ++r)
    for (int s = 0; s < a.kernel; ++s) {
      const int py = y * a.stride - a.pad + r, px = x * a.stride - a.pad + s;
      if (py < 0 || py >= a.h || px < 0 || px >= a.w) continue;
      const half* const source = a.in + ((image * a.h + py) * a.w + px) * a.in_pitch;
      const int tap = r * a.kernel + s;
      if (a.depthwise) {
        sum += __ldg(a.weights + tap * a.cout + channel) * __half2float(source[channel]);
      } else {
        const float* const w = a.weights + (static_cast<long>(channel) * a.kernel * a.kernel + tap) * a.cin;
        for (int c = 0; c < a.cin; ++c) sum += __ldg(w + c) * __half2float(source[c]);
      }
    }
  sum += a.bias[channel];
  if (a.silu) sum = silu(sum);
  if (a.residual != nullptr) sum += __half2float(a.residual[pixel * a.residual_pitch + channel]);
  a.out[pixel * a.out_pitch + channel] = __float2half(sum);
}

constexpr int kColumn = 4;  // output rows a thread

/// What: out = act(dw3x3(in) + bias) + residual, stride 1, pad 1
/// In:   f16 [N,H,W,pitch] slice of channels, a multiple of 8, 16-byte aligned; weights f32 [9][channels]
/// Launch: one thread eight channels of four output pixels below each other; sm_80 and later
/// Bounds: any N, H, W ≥ 1; no over-read
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: FP32
/// Roofline: bytes = 4·channels·H·W an image; what neighbours share comes from the caches
/// Rejected: a pixel a thread (nine reads an output instead of four and a half)
__global__ void __launch_bounds__(kThreads) depthwise_kernel(const __grid_constant__ PlainConvArgs a) {
  release_successors();
  wait_for_predecessors();
  const int vectors = a.cout / 8, bands = (a.oh + kColumn - 1) / kColumn;
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<long>(a.n) * bands * a.ow * vectors) return;
  const int c = static_cast<int>(i % vectors) * 8;
  const long place = i / vectors;
  const int x = static_cast<int>(place % a.ow), y = static_cast<int>(place / a.ow % bands) * kColumn;
  const long image = place / a.ow / bands;
  float sum[kColumn][8];
#pragma unroll
  for (int e = 0; e < 8; ++e) {
    const float bias = __ldg(a.bias + c + e);
#pragma unroll
    for (int row = 0; row < kColumn; ++row) sum[row][e] = bias;
  }
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    const int px = x - 1 + s;
    if (px < 0 || px >= a.w) continue;
    float taps[3][8];
#pragma unroll
    for (int r = 0; r < 3; ++r) {
      const float4* const w = reinterpret_cast<const float4*>(a.weights + (r * 3 + s) * a.cout + c);
      const float4 low = __ldg(w), high = __ldg(w + 1);
      taps[r][0] = low.x, taps[r][1] = low.y, taps[r][2] = low.z, taps[r][3] = low.w;
      taps[r][4] = high.x, taps[r][5] = high.y, taps[r][6] = high.z, taps[r][7] = high.w;
    }
#pragma unroll
    for (int in = 0; in < kColumn + 2; ++in) {
      const int py = y - 1 + in;
      if (py < 0 || py >= a.h) continue;
      const uint4 bits = *reinterpret_cast<const uint4*>(a.in + ((image * a.h + py) * a.w + px) * a.in_pitch + c);
      const std::uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float2 value = unpack_half2(pairs[e]);
#pragma unroll
        for (int r = 0; r < 3; ++r) {
          const int row = in - r;
          if (row < 0 || row >= kColumn) continue;
          sum[row][e * 2] += taps[r][e * 2] * value.x;
          sum[row][e * 2 + 1] += taps[r][e * 2 + 1] * value.y;
        }
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kColumn; ++row) {
    if (y + row >= a.oh) break;
    const long pixel = (image * a.oh + y + row) * a.ow + x;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      if (a.silu) sum[row][e] = silu(sum[row][e]);
      if (a.residual != nullptr) sum[row][e] += __half2float(a.residual[pixel * a.residual_pitch + c + e]);
    }
    *reinterpret_cast<uint4*>(a.out + pixel * a.out_pitch + c) =
        make_uint4(pack_half2(sum[row][0], sum[row][1]), pack_half2(sum[row][2], sum[row][3]),
                   pack_half2(sum[row][4], sum[row][5]), pack_half2(sum[row][6], sum[row][7]));
  }
}

__global__ void __launch_bounds__(kThreads) merge_kernel(const __grid_constant__ MergeArgs a) {
  release_successors();
  wait_for_predecessors();
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<long>(a.n) * a.h * a.w * a.channels) return;
  const int channel = static_cast<int>(i % a.channels);
  const long pixel = i / a.channels;
  const int x = static_cast<int>(pixel % a.w), y = static_cast<int>(pixel / a.w % a.h);
  const long image = pixel / a.w / a.h;
  const auto read = [&](const half* data, int pitch, int shift) {
    const long at = (image * (a.h >> shift) + (y >> shift)) * (a.w >> shift) + (x >> shift);
    return __half2float(data[at * pitch + channel]);
  };
  float value = read(a.a, a.a_pitch, a.a_shift);
  if (a.b != nullptr) value += read(a.b, a.b_pitch, a.b_shift);
  a.out[pixel * a.out_pitch + channel] = __float2half(value);
}

__global__ void __launch_bounds__(kThreads) pack_input_kernel(const __grid_constant__ PackInputArgs a) {
  release_successors();
  wait_for_predecessors();
  const long i = static_cast<long>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.pixels) return;
  float v[3];
#pragma unroll
  for (int c = 0; c < 3; ++c)
    v[c] = a.is_float ? static_cast<const float*>(a.in)[i * a.in_pitch + c]
                      : __half2float(static_cast<const half*>(a.in)[i * a.in_pitch + c]);
  reinterpret_cast<uint2*>(a.out)[i] = make_uint2(pack_half2(v[0], v[1]), pack_half2(v[2], 0));
}

}  // namespace

cudaError_t launch_plain_conv(const PlainConvArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(plain_conv_kernel, args,
                     dim3(blocks_for(static_cast<long>(args.n) * args.oh * args.ow * args.cout)), kThreads, 0, shape,
                     stream);
}

bool depthwise_fits(const PlainConvArgs& args) noexcept {
  return args.depthwise != 0 && args.kernel == 3 && args.stride == 1 && args.pad == 1 && args.cout % 8 == 0 &&
         args.in_pitch % 8 == 0 && args.out_pitch % 8 == 0;
}

cudaError_t launch_depthwise(const PlainConvArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(
      depthwise_kernel, args,
      dim3(blocks_for(static_cast<long>(args.n) * ((args.oh + kColumn - 1) / kColumn) * args.ow * (args.cout / 8))),
      kThreads, 0, shape, stream);
}

cudaError_t launch_merge(const MergeArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(merge_kernel, args, dim3(blocks_for(static_cast<long>(args.n) * args.h * args.w * args.channels)),
                     kThreads, 0, shape, stream);
}

cudaError_t launch_pack_input(const PackInputArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(pack_input_kernel, args, dim3(blocks_for(args.pixels)), kThreads, 0, shape, stream);
}

}  // namespace gantry::cuda
