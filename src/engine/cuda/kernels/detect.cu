#include "engine/cuda/kernels/detect.hpp"
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr int kDecodeThreads = 128, kDecodeLanes = 4, kNmsThreads = 512;
constexpr int kMatrixPitch = kNmsThreads / 32 + 1;  // words; odd, so that a column lies in 32 banks

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

/// What: for every anchor the best class; where sigmoid(logit) > confidence, its box (DFL) and a candidate
/// In:   f16 raw maps [N,H,W,pitch] a level, 16-byte aligned pixels
/// Out:  keys[image][count++] = score bits, then the anchor's complement, so that a falling sort breaks ties by anchor;
///       boxes and ids by anchor
/// Launch: grid (anchors / 32, N); four neighbouring threads an anchor, so that a warp reads whole lines; sm_80 and
/// later Bounds: reads class channels rounded up to 8 (inside the pitch) and ignores those beyond `classes` Stream:
/// ordered on `stream`; never synchronises or allocates Numerics: FP32; the order of candidates varies, their set does
/// not Roofline: bytes = 2·classes·anchors an image (+ 128 a candidate): memory-bound Rejected: a sigmoid a class
/// (monotonic: one an anchor is enough); a thread an anchor (each load touches 32 lines)
__global__ void __launch_bounds__(kDecodeThreads) decode_kernel(const __grid_constant__ DetectArgs a) {
  release_successors();
  wait_for_predecessors();
  const int lane = static_cast<int>(threadIdx.x) % kDecodeLanes;
  const int anchor = static_cast<int>(blockIdx.x * kDecodeThreads + threadIdx.x) / kDecodeLanes;
  const int image = static_cast<int>(blockIdx.y);
  int l = 0;
  while (l + 1 < a.level_count && anchor >= a.levels[l + 1].first_anchor) ++l;
  const DetectLevel& level = a.levels[l];
  const int cell = anchor - level.first_anchor;
  const long pixel = static_cast<long>(image) * level.h * level.w + cell;

  float best = -INFINITY;
  int id = 0;
  if (anchor < a.anchors) {
    const half* const logits = level.classes + pixel * level.class_pitch;
    for (int c = lane * 8; c < a.classes; c += kDecodeLanes * 8) {
      const uint4 bits = *reinterpret_cast<const uint4*>(logits + c);
      const std::uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const float2 pair = unpack_half2(pairs[e / 2]);
        const float value = e % 2 == 0 ? pair.x : pair.y;
        if (c + e < a.classes && value > best) best = value, id = c + e;
      }
    }
  }
  // The first of equal classes wins, as it would one after the other.
#pragma unroll
  for (int step = kDecodeLanes / 2; step > 0; step /= 2) {
    const float other = __shfl_xor_sync(0xffffffffU, best, step);
    const int other_id = __shfl_xor_sync(0xffffffffU, id, step);
    if (other > best || (other == best && other_id < id)) best = other, id = other_id;
  }
  if (lane != 0 || anchor >= a.anchors) return;
  const float score = 1.0F / (1.0F + __expf(-best));
  if (!(score > a.limits[image].confidence)) return;
  if ((a.class_masks[image * ((a.classes + 31) / 32) + id / 32] >> (id % 32) & 1U) == 0) return;

  const half* const sides = level.boxes + pixel * level.box_pitch;
  float d[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) d[i] = expected_distance(sides + i * a.bins, a.bins);
  const float x = static_cast<float>(cell % level.w) + 0.5F, y = static_cast<float>(cell / level.w) + 0.5F;
  const long at = static_cast<long>(image) * a.anchors + anchor;
  a.boxes[at] = make_float4((x - d[0]) * level.stride, (y - d[1]) * level.stride, (x + d[2]) * level.stride,
                            (y + d[3]) * level.stride);
  a.ids[at] = id;
  const int slot = atomicAdd(a.counts + image, 1);
  a.keys[static_cast<long>(image) * a.anchors + slot] =
      static_cast<std::uint64_t>(__float_as_uint(score)) << 32 | (0xffffffffU - static_cast<unsigned>(anchor));
}

__device__ bool overlaps(const float4& a, const float4& b, float limit) {
  const float w = fminf(a.z, b.z) - fmaxf(a.x, b.x), h = fminf(a.w, b.w) - fmaxf(a.y, b.y);
  if (w <= 0 || h <= 0) return false;
  const float both = w * h;
  return both > limit * ((a.z - a.x) * (a.w - a.y) + (b.z - b.x) * (b.w - b.y) - both);
}

/// The key of rank `rank` (0: largest) among `count` distinct keys, by eight counting passes from the top byte on.
__device__ std::uint64_t select_key(const std::uint64_t* keys, int count, int rank, int* histogram, int* found) {
  std::uint64_t prefix = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < 256; i += kNmsThreads) histogram[i] = 0;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kNmsThreads) {
      const std::uint64_t key = keys[i];
      if (shift == 56 || (key >> (shift + 8)) == (prefix >> (shift + 8)))
        atomicAdd(histogram + (key >> shift & 0xff), 1);
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      // Lane l counts the eight digits below 256 - 8·l; the lane where the rank falls looks into its own.
      const int lane = static_cast<int>(threadIdx.x);
      int own = 0;
      for (int d = 0; d < 8; ++d) own += histogram[255 - lane * 8 - d];
      int above = own;
      for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(0xffffffffU, above, step);
        if (lane >= step) above += other;
      }
      above -= own;
      if (rank >= above && rank < above + own) {
        int digit = 255 - lane * 8, left = rank - above;
        while (left >= histogram[digit]) left -= histogram[digit--];
        found[0] = digit, found[1] = left;
      }
    }
    __syncthreads();
    prefix |= static_cast<std::uint64_t>(found[0]) << shift;
    rank = found[1];
    __syncthreads();
  }
  return prefix;
}

/// Moves those of `count` keys that lie in [low, high) to `sorted`, in falling order; there are at most kNmsThreads. A
/// warp counts for a key how many are larger.
__device__ void sort_range(const std::uint64_t* keys, int count, std::uint64_t low, std::uint64_t high,
                           std::uint64_t* scratch, std::uint64_t* sorted, int* fill) {
  const int tid = static_cast<int>(threadIdx.x);
  if (tid == 0) *fill = 0;
  __syncthreads();
  for (int i = tid; i < count; i += kNmsThreads)
    if (keys[i] >= low && keys[i] < high) scratch[atomicAdd(fill, 1)] = keys[i];
  __syncthreads();
  const int have = *fill;
  for (int key = tid / 32; key < have; key += kNmsThreads / 32) {
    const std::uint64_t mine = scratch[key];
    unsigned larger = 0;
    for (int i = tid % 32; i < have; i += 32) larger += scratch[i] > mine ? 1U : 0U;
    larger = __reduce_add_sync(0xffffffffU, larger);
    if (tid % 32 == 0) sorted[larger] = mine;
  }
  __syncthreads();
}

/// What: greedy NMS of each image's candidates in falling order of score, within a class unless agnostic
/// In:   candidates of decode_kernel
/// Out:  the first max_detections that survive, falling by score; counts[image] = 0 for the next run
/// Launch: one block of 512 threads an image; shared memory below; sm_80 and later
/// Bounds: the best kMaxCandidates candidates count; an exact selection, so the result never depends on timing
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: FP32; suppresses where IoU > limit, like torchvision
/// Roofline: bound by latency. A round takes the next 512 candidates, selected and sorted only when their turn comes:
///           each against all kept ones, then a bit matrix of who suppresses whom, then one warp walks over the
///           survivors
/// Rejected: a barrier a kept box; 32 candidates a round (both several times slower at 100 objects)
__global__ void __launch_bounds__(kNmsThreads) nms_kernel(const __grid_constant__ DetectArgs a) {
  extern __shared__ __align__(16) unsigned char shared[];
  auto* const keys = reinterpret_cast<std::uint64_t*>(shared);
  auto* const sorted = keys + kMaxCandidates;
  auto* const boxes = reinterpret_cast<float4*>(sorted + kMaxCandidates);
  auto* const ids = reinterpret_cast<int*>(boxes + kMaxCandidates);
  auto* const kept = ids + kMaxCandidates;
  auto* const matrix = reinterpret_cast<unsigned*>(kept + kMaxDetections);  // [candidate of the round][word]
  constexpr int kWords = kNmsThreads / 32;
  __shared__ int histogram[256], found[2], fill, kept_count;
  __shared__ unsigned alive[kWords];
  const int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  const int image = static_cast<int>(blockIdx.x);
  release_successors();
  wait_for_predecessors();

  const DetectLimits limits = a.limits[image];
  const long base = static_cast<long>(image) * a.anchors;
  const int total = a.counts[image], count = min(total, kMaxCandidates);
  const std::uint64_t* const source = a.keys + base;
  if (total > kMaxCandidates) {
    const std::uint64_t last = select_key(source, total, kMaxCandidates - 1, histogram, found);
    if (tid == 0) fill = 0;
    __syncthreads();
    for (int i = tid; i < total; i += kNmsThreads)
      if (source[i] >= last) keys[atomicAdd(&fill, 1)] = source[i];
  } else {
    for (int i = tid; i < count; i += kNmsThreads) keys[i] = source[i];
  }
  __syncthreads();
  if (tid == 0) kept_count = 0, a.counts[image] = 0;
  __syncthreads();

  const int limit = min(limits.max_detections, kMaxDetections);
  for (int start = 0; start < count; start += kNmsThreads) {
    const int have = kept_count, mine = start + tid, round = min(kNmsThreads, count - start);
    if (have >= limit) break;
    const std::uint64_t last = start + round < count ? select_key(keys, count, start + round - 1, histogram, found) : 0;
    sort_range(keys, count, last, start == 0 ? ~std::uint64_t{0} : sorted[start - 1],
               reinterpret_cast<std::uint64_t*>(matrix), sorted + start, &fill);
    if (mine < count) {
      const int anchor = static_cast<int>(0xffffffffU - static_cast<unsigned>(sorted[mine]));
      boxes[mine] = a.boxes[base + anchor];
      ids[mine] = limits.agnostic ? 0 : a.ids[base + anchor];
    }
    __syncthreads();
    bool out = mine >= count;
    if (!out) {
      const float4 box = boxes[mine];
      const int id = ids[mine];
      for (int k = 0; k < have && !out; ++k) {
        const int other = kept[k];
        out = ids[other] == id && overlaps(boxes[other], box, limits.iou);
      }
    }
    const unsigned votes = __ballot_sync(0xffffffffU, !out);
    if (lane == 0) alive[warp] = votes;
    __syncthreads();
    // matrix[j][w]: those of 32·w … that j suppresses and that come after it. A warp takes 32×32 of it at a time: a
    // lane keeps its column's box and meets row after row.
    const int words = (round + 31) / 32;
    for (int tile = warp; tile < words * (words + 1) / 2; tile += kWords) {
      int w = 0, rows = tile;
      while (rows > w) rows -= ++w;
      const int i = w * 32 + lane;
      const bool present = i < round && (alive[w] >> lane & 1U) != 0;
      const float4 box = present ? boxes[start + i] : float4{0, 0, 0, 0};
      const int id = present ? ids[start + i] : -1;
#pragma unroll 4
      for (int r = 0; r < 32; ++r) {
        const int j = rows * 32 + r;
        if (j >= round) break;
        const bool rival = i > j && ids[start + j] == id && overlaps(boxes[start + j], box, limits.iou);
        const unsigned word = __ballot_sync(0xffffffffU, rival);
        if (lane == 0) matrix[j * kMatrixPitch + w] = word;
      }
    }
    __syncthreads();
    if (warp == 0) {
      unsigned left = lane < words ? alive[lane] : 0;
      int number = have;
      for (int w = 0; w < words && number < limit; ++w) {
        // First who of these 32 survives the others of them, from registers; then what those suppress behind.
        const unsigned* const row = matrix + (w * 32 + lane) * kMatrixPitch;
        const bool in_round = w * 32 + lane < round;
        const unsigned own = in_round ? row[w] : 0;
        unsigned word = __shfl_sync(0xffffffffU, left, w), chosen = 0;
        while (word != 0 && number < limit) {
          const int bit = __ffs(static_cast<int>(word)) - 1;
          if (lane == 0) kept[number] = start + w * 32 + bit;
          ++number;
          chosen |= 1U << bit;
          word &= ~(__shfl_sync(0xffffffffU, own, bit) | ((2U << bit) - 1U));
        }
        const bool survives = in_round && (chosen >> lane & 1U) != 0;
#pragma unroll 4
        for (int behind = w + 1; behind < words; ++behind) {
          const unsigned out_there = __reduce_or_sync(0xffffffffU, survives ? row[behind] : 0U);
          if (lane == behind) left &= ~out_there;
        }
      }
      if (lane == 0) kept_count = number;
    }
    __syncthreads();
  }

  const int have = kept_count;
  RawDetection* const out = a.detections + static_cast<long>(image) * kMaxDetections;
  for (int i = tid; i < have; i += kNmsThreads) {
    const std::uint64_t key = sorted[kept[i]];
    const int anchor = static_cast<int>(0xffffffffU - static_cast<unsigned>(key));
    const float4 box = boxes[kept[i]];
    out[i] = {box.x, box.y, box.z, box.w, __uint_as_float(static_cast<unsigned>(key >> 32)), a.ids[base + anchor]};
  }
  if (tid == 0) a.detection_counts[image] = have;
}

constexpr std::size_t kNmsShared =
    kMaxCandidates * (8 + 8 + 16 + 4) + kMaxDetections * 4 + kNmsThreads * kMatrixPitch * 4;

}  // namespace

cudaError_t launch_decode(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(decode_kernel, args,
                     dim3(static_cast<unsigned>((args.anchors * kDecodeLanes + kDecodeThreads - 1) / kDecodeThreads),
                          static_cast<unsigned>(args.n)),
                     kDecodeThreads, 0, shape, stream);
}

cudaError_t launch_nms(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  if (const cudaError_t error = allow_shared(nms_kernel, kNmsShared); error != cudaSuccess) return error;
  return launch_grid(nms_kernel, args, dim3(static_cast<unsigned>(args.n)), kNmsThreads, kNmsShared, shape, stream);
}

}  // namespace gantry::cuda
