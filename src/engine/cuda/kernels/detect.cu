#include "engine/cuda/kernels/detect.hpp"
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr int kThreads = 256, kLanes = 4;  // of a block, of an anchor

/// Expected bin of one side's distribution: Σ b·softmax(logits)_b. Reads eight bins at a time where they lie so.
__device__ float expected_distance(const half* logits, int bins) {
  float high = -INFINITY, total = 0, weighted = 0;
  if (bins == 16) {
    float values[16];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const uint4 bits = *reinterpret_cast<const uint4*>(logits + part * 8);
      const std::uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float2 pair = unpack_half2(pairs[e]);
        values[part * 8 + e * 2] = pair.x, values[part * 8 + e * 2 + 1] = pair.y;
      }
    }
#pragma unroll
    for (const float value : values) high = fmaxf(high, value);
#pragma unroll
    for (int b = 0; b < 16; ++b) {
      const float e = __expf(values[b] - high);
      total += e;
      weighted += e * static_cast<float>(b);
    }
    return weighted / total;
  }
  for (int b = 0; b < bins; ++b) high = fmaxf(high, __half2float(logits[b]));
  for (int b = 0; b < bins; ++b) {
    const float e = __expf(__half2float(logits[b]) - high);
    total += e;
    weighted += e * static_cast<float>(b);
  }
  return weighted / total;
}

/// Eight class logits from channel `c` on; those beyond `classes` are -infinity.
__device__ __forceinline__ uint4 eight_logits(const half* logits, int c, int classes) {
  constexpr std::uint32_t kNone = 0xfc00fc00U;
  uint4 bits = make_uint4(kNone, kNone, kNone, kNone);
  if (c < classes) bits = *reinterpret_cast<const uint4*>(logits + c);
  if (c < classes && c + 8 > classes) {
    std::uint32_t* const words[4] = {&bits.x, &bits.y, &bits.z, &bits.w};
#pragma unroll
    for (int e = 0; e < 8; ++e)
      if (c + e >= classes) *words[e / 2] = e % 2 == 0 ? kNone : (*words[e / 2] & 0xffffU) | (kNone & 0xffff0000U);
  }
  return bits;
}

__device__ __forceinline__ std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
  const __half2 v = __hmax2(*reinterpret_cast<const __half2*>(&a), *reinterpret_cast<const __half2*>(&b));
  return *reinterpret_cast<const std::uint32_t*>(&v);
}

/// What: for every anchor the best class; where sigmoid(logit) > confidence, its box (DFL) and a candidate
/// In:   f16 raw maps [N,H,W,pitch] a level, 16-byte aligned pixels
/// Out:  keys[image][count++] = score bits, then the anchor's complement, so that a falling sort breaks ties by anchor;
///       boxes and ids by anchor
/// Launch: grid (anchors / 64, N); four neighbouring threads an anchor, so that a warp reads whole lines; sm_80 and
///       later
/// Bounds: reads class channels rounded up to 8 (inside the pitch) and ignores those beyond `classes`
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: FP32; the order of candidates varies, their set does not
/// Roofline: bytes = 2·classes·anchors an image (+ 128 a candidate): memory-bound. An anchor's 80 logits are three
/// reads
///       a thread, all under way at once; their maximum takes half an operation each, and which class it was is looked
///       up for the few that pass
/// Rejected: a sigmoid a class (monotonic: one an anchor is enough); a thread an anchor (each load touches 32 lines); a
///       compare and two selects a class
__global__ void __launch_bounds__(kThreads) decode_kernel(const __grid_constant__ DetectArgs a) {
  release_successors();
  wait_for_predecessors();
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int anchor = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) / kLanes;
  const int image = static_cast<int>(blockIdx.y);
  int l = 0;
  while (l + 1 < a.level_count && anchor >= a.levels[l + 1].first_anchor) ++l;
  const DetectLevel& level = a.levels[l];
  const int cell = anchor - level.first_anchor;
  const long pixel = static_cast<long>(image) * level.h * level.w + cell;
  const half* const logits = level.classes + pixel * level.class_pitch;

  constexpr int kAtOnce = 3, kStep = kLanes * 8;
  std::uint32_t pair = 0xfc00fc00U;  // -infinity twice
  if (anchor < a.anchors)
    for (int c = lane * 8; c < a.classes; c += kAtOnce * kStep) {
      uint4 bits[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) bits[i] = eight_logits(logits, c + i * kStep, a.classes);
#pragma unroll
      for (const uint4& b : bits) pair = larger(pair, larger(larger(b.x, b.y), larger(b.z, b.w)));
    }
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) pair = larger(pair, __shfl_xor_sync(0xffffffffU, pair, step));
  const float2 both = unpack_half2(pair);
  const float best = fmaxf(both.x, both.y);
  const float score = 1.0F / (1.0F + __expf(-best));
  if (!(score > a.limits[image].confidence)) return;  // all four threads of an anchor

  const int first = static_cast<int>(threadIdx.x) % 32 / kLanes * kLanes;
  const unsigned group = ((1U << kLanes) - 1U) << first;
  // The first of equal classes wins, as it would one after the other.
  int id = a.classes;
  for (int c = lane * 8; c < a.classes && id == a.classes; c += kStep) {
    const uint4 bits = eight_logits(logits, c, a.classes);
    const std::uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int e = 7; e >= 0; --e) {
      const float2 values = unpack_half2(words[e / 2]);
      if ((e % 2 == 0 ? values.x : values.y) == best) id = c + e;
    }
  }
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) id = min(id, __shfl_xor_sync(group, id, step));
  if ((a.class_masks[image * ((a.classes + 31) / 32) + id / 32] >> (id % 32) & 1U) == 0) return;

  // A thread a side.
  static_assert(kLanes == 4);
  const float side = expected_distance(level.boxes + pixel * level.box_pitch + lane * a.bins, a.bins);
  float d[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) d[i] = __shfl_sync(group, side, first + i);
  if (lane != 0) return;
  const float x = static_cast<float>(cell % level.w) + 0.5F, y = static_cast<float>(cell / level.w) + 0.5F;
  const long at = static_cast<long>(image) * a.anchors + anchor;
  a.boxes[at] = make_float4((x - d[0]) * level.stride, (y - d[1]) * level.stride, (x + d[2]) * level.stride,
                            (y + d[3]) * level.stride);
  a.ids[at] = id;
  const int slot = atomicAdd(a.counts + image, 1);
  a.keys[static_cast<long>(image) * a.anchors + slot] =
      static_cast<std::uint64_t>(__float_as_uint(score)) << 32 | (0xffffffffU - static_cast<unsigned>(anchor));
}

}  // namespace

cudaError_t launch_decode(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(
      decode_kernel, args,
      dim3(static_cast<unsigned>((args.anchors * kLanes + kThreads - 1) / kThreads), static_cast<unsigned>(args.n)),
      kThreads, 0, shape, stream);
}

}  // namespace gantry::cuda
