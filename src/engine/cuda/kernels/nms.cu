// Class-wise NMS: candidates sorted, who suppresses whom, who is left. See detect.hpp.
#include "engine/cuda/kernels/detect.hpp"
#include "engine/cuda/kernels/ptx.cuh"

namespace gantry::cuda {

namespace {

constexpr int kThreads = kNmsRound, kWords = kNmsRound / 32, kParts = 4;
static_assert(kParts == 4, "four neighbouring threads share a candidate: two shuffles put its words together");

/// The key of rank `rank` (0: largest) among `count` distinct keys, by eight counting passes from the top byte on.
__device__ std::uint64_t select_key(const std::uint64_t* keys, int count, int rank, int* histogram, int* found) {
  std::uint64_t prefix = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (int i = static_cast<int>(threadIdx.x); i < 256; i += kThreads) histogram[i] = 0;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
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

struct Candidate {
  std::uint64_t key;
  float4 box;
  int id;
};

/// Candidates of a round as they are compared.
struct Round {
  float4 boxes[kNmsRound];
  float2 area_and_id[kNmsRound];  ///< the id by its bits
};

__device__ __forceinline__ float area_of(const float4& box) {
  return (box.z - box.x) * (box.w - box.y);
}

__device__ __forceinline__ bool suppresses(const float4& a, float area_a, int id_a, const float4& b, float area_b,
                                           int id_b, float limit) {
  const float w = fminf(a.z, b.z) - fmaxf(a.x, b.x), h = fminf(a.w, b.w) - fmaxf(a.y, b.y), both = w * h;
  return id_a == id_b && w > 0 && h > 0 && both > limit * (area_a + area_b - both);
}

/// Sorts one key a thread in falling order; `round` of them are no zeros. `exchange` holds two keys a thread.
__device__ __forceinline__ std::uint64_t sort_falling(std::uint64_t key, int round,
                                                      std::uint64_t (*exchange)[kThreads]) {
  const int tid = static_cast<int>(threadIdx.x);
  int size = 32;
  while (size < round) size *= 2;
  int buffer = 0;
  for (int run = 2; run <= size; run *= 2)
    for (int step = run / 2; step > 0; step /= 2) {
      std::uint64_t other = 0;
      if (step < 32) {
        other = __shfl_xor_sync(0xffffffffU, key, step);
      } else {
        exchange[buffer][tid] = key;
        __syncthreads();
        other = exchange[buffer][tid ^ step];
        buffer ^= 1;
      }
      const bool takes_larger = ((tid & step) == 0) == ((tid & run) == 0);
      key = takes_larger == (key > other) ? key : other;
    }
  return key;
}

/// This thread's candidate, of rank threadIdx.x, into shared memory.
__device__ __forceinline__ Candidate bring_candidate(const DetectArgs& a, int image, std::uint64_t key, bool agnostic,
                                                     Round& round) {
  const int tid = static_cast<int>(threadIdx.x);
  Candidate mine{key, make_float4(0, 0, 0, 0), -1};
  if (key != 0) {
    const long at = static_cast<long>(image) * a.anchors + (0xffffffffU - static_cast<unsigned>(key));
    mine.box = a.boxes[at], mine.id = a.ids[at];
  }
  round.boxes[tid] = mine.box;
  round.area_and_id[tid] = make_float2(area_of(mine.box), __int_as_float(agnostic ? 0 : mine.id));
  return mine;
}

/// Which of candidates 32·word + first, + step, … come before `i` and suppress it, as bits.
template <int first_step>
__device__ __forceinline__ unsigned rivals_of(int i, int word, int first, const Round& round, float limit) {
  const float4 box = round.boxes[i];
  const float area = round.area_and_id[i].x;
  const int id = __float_as_int(round.area_and_id[i].y);
  unsigned bits = 0;
#pragma unroll 4
  for (int bit = first; bit < 32; bit += first_step) {
    const int j = word * 32 + bit;
    const float2 other = round.area_and_id[j];
    if (j < i && suppresses(round.boxes[j], other.x, __float_as_int(other.y), box, area, id, limit)) bits |= 1U << bit;
  }
  return bits;
}

/// What: the best kNmsRound candidates of each image in falling order, and for each the earlier ones that overlap it
/// In:   candidates of decode_kernel
/// Out:  a.round[image]: keys by rank, zeros behind the last; rivals[word][rank], words up to rank / 32
/// Launch: grid (4, N), 512 threads; every block of an image sorts, each compares a quarter; sm_80 and later
/// Bounds: any number of candidates
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: FP32; suppresses where IoU > limit, like torchvision
/// Roofline: bound by some 125,000 comparisons of boxes an image at 500 candidates, 17 operations each; therefore four
///           multiprocessors an image
/// Rejected: one multiprocessor an image (12 µs more); comparing with kept boxes only (a third of the comparisons, one
///           behind the other)
__global__ void __launch_bounds__(kThreads) rank_kernel(const __grid_constant__ DetectArgs a) {
  __shared__ Round round;
  __shared__ std::uint64_t exchange[2][kThreads];
  __shared__ int histogram[256], found[2], fill;
  const int tid = static_cast<int>(threadIdx.x), part = static_cast<int>(blockIdx.x);
  const int image = static_cast<int>(blockIdx.y);
  release_successors();
  wait_for_predecessors();
  const DetectLimits limits = a.limits[image];
  const int total = a.counts[image], count = min(total, kNmsRound);
  const std::uint64_t* const source = a.keys + static_cast<long>(image) * a.anchors;
  std::uint64_t key = 0;
  if (total > kNmsRound) {
    const std::uint64_t last = select_key(source, total, kNmsRound - 1, histogram, found);
    if (tid == 0) fill = 0;
    __syncthreads();
    for (int i = tid; i < total; i += kThreads)
      if (source[i] >= last) exchange[1][atomicAdd(&fill, 1)] = source[i];
    __syncthreads();
    key = exchange[1][tid];
  } else if (tid < count) {
    key = source[tid];
  }
  key = sort_falling(key, count, exchange);
  const Candidate candidate = bring_candidate(a, image, key, limits.agnostic != 0, round);
  NmsRound& out = a.round[image];
  if (part == 0) out.keys[tid] = key, out.boxes[tid] = candidate.box, out.ids[tid] = candidate.id;
  __syncthreads();

  const int mine = part + kParts * (tid / kParts), sub = tid % kParts, words = tid / 32 + 1;  // a warp ranks 32·words
  if (tid / 32 * 32 >= count) return;
  for (int word = 0; word < words; ++word) {
    unsigned bits = rivals_of<kParts>(mine, word, sub, round, limits.iou);
    bits |= __shfl_xor_sync(0xffffffffU, bits, 1);
    bits |= __shfl_xor_sync(0xffffffffU, bits, 2);
    if (sub == word % kParts) out.rivals[word][mine] = bits;
  }
}

/// Which of the round's candidates greedy NMS keeps: those without a kept rival. Everybody decides as soon as all of
/// its rivals have; the first of those left always can. `rivals`: this thread's; `undecided`: whether it takes part.
__device__ __forceinline__ bool survives(const unsigned (&rivals)[kWords], bool undecided, unsigned (*open)[kWords],
                                         unsigned (*kept)[kWords]) {
  const int tid = static_cast<int>(threadIdx.x), warp = tid / 32;
  bool keep = false;
  int now = 0;
  const auto publish = [&](int to) {
    const unsigned still = __ballot_sync(0xffffffffU, undecided), stays = __ballot_sync(0xffffffffU, keep);
    if (tid % 32 == 0) open[to][warp] = still, kept[to][warp] = stays;
  };
  publish(now);
  while (__syncthreads_or(undecided ? 1 : 0) != 0) {
    unsigned waits = 0, beaten = 0;
#pragma unroll
    for (int word = 0; word < kWords; ++word)
      waits |= rivals[word] & open[now][word], beaten |= rivals[word] & kept[now][word];
    if (undecided && beaten != 0) undecided = false;
    if (undecided && waits == 0) keep = true, undecided = false;
    now ^= 1;
    publish(now);
  }
  return keep;
}

/// What: greedy NMS of each image's candidates in falling order of score, within a class unless agnostic
/// In:   candidates of decode_kernel, the first round's order and rivals of rank_kernel
/// Out:  the first max_detections that survive, falling by score; counts[image] = 0 for the next run
/// Launch: one block of 512 threads an image; sm_80 and later
/// Bounds: the best kMaxCandidates candidates count; an exact selection, so the result never depends on timing
/// Stream: ordered on `stream`; never synchronises or allocates
/// Numerics: FP32; suppresses where IoU > limit, like torchvision
/// Roofline: bound by latency. A round takes 512 candidates; all decide at once, again and again until everybody has (a
///           few times: a chain of boxes that each hide the next is short). Results gather in shared memory and leave
///           in whole lines: they may go to the host's memory, where a write of a few bytes costs as much as one of 128
/// Rejected: a barrier a kept box; one warp that walks over the candidates (both several times slower at 100 objects)
__global__ void __launch_bounds__(kThreads) nms_kernel(const __grid_constant__ DetectArgs a) {
  __shared__ __align__(8) RawDetection results[kMaxDetections];
  __shared__ std::uint64_t exchange[2][kThreads];
  __shared__ Round round;
  __shared__ int histogram[256], found[2], fill;
  __shared__ unsigned open[2][kWords], kept[2][kWords];
  const int tid = static_cast<int>(threadIdx.x), warp = tid / 32;
  const int image = static_cast<int>(blockIdx.x);
  release_successors();
  wait_for_predecessors();

  const DetectLimits limits = a.limits[image];
  const bool agnostic = limits.agnostic != 0;
  const int total = a.counts[image], count = min(total, kMaxCandidates);
  const int limit = min(limits.max_detections, kMaxDetections);
  const std::uint64_t* const source = a.keys + static_cast<long>(image) * a.anchors;
  __syncthreads();
  if (tid == 0) a.counts[image] = 0;

  int number = 0;         // of detections
  std::uint64_t end = 0;  // keys of the next round are below it
  for (int start = 0; start < count && number < limit; start += kNmsRound) {
    const int size = min(kNmsRound, count - start);
    Candidate mine;
    unsigned rivals[kWords] = {};
    bool undecided = tid < size;
    if (start == 0) {
      const NmsRound& first = a.round[image];
      mine = {first.keys[tid], first.boxes[tid], first.ids[tid]};
#pragma unroll
      for (int word = 0; word < kWords; ++word)
        if (word <= warp && undecided) rivals[word] = first.rivals[word][tid];
    } else {
      const std::uint64_t last = select_key(source, total, start + size - 1, histogram, found);
      if (tid == 0) fill = 0;
      __syncthreads();
      for (int i = tid; i < total; i += kThreads)
        if (source[i] >= last && source[i] < end) exchange[1][atomicAdd(&fill, 1)] = source[i];
      __syncthreads();
      const std::uint64_t key = sort_falling(undecided ? exchange[1][tid] : 0, size, exchange);
      mine = bring_candidate(a, image, key, agnostic, round);
      __syncthreads();
      const float area = area_of(mine.box);
      for (int k = 0; k < number && undecided; ++k) {
        const RawDetection& other = results[k];
        const float4 rival = make_float4(other.x1, other.y1, other.x2, other.y2);
        undecided = !suppresses(rival, area_of(rival), agnostic ? mine.id : other.class_id, mine.box, area, mine.id,
                                limits.iou);
      }
#pragma unroll
      for (int word = 0; word < kWords; ++word)
        if (word <= warp && undecided) rivals[word] = rivals_of<1>(tid, word, 0, round, limits.iou);
    }
    const bool keep = survives(rivals, undecided, open, kept);
    // Rank among the kept, by their bits as everybody published them.
    const unsigned own = __ballot_sync(0xffffffffU, keep);
    if (tid % 32 == 0) kept[0][warp] = own;
    __syncthreads();
    int before = number, all = number;
    for (int word = 0; word < kWords; ++word) {
      const int here = __popc(kept[0][word]);
      all += here;
      if (word < warp) before += here;
    }
    before += __popc(own & ((1U << tid % 32) - 1U));
    if (keep && before < limit)
      results[before] = {
          mine.box.x, mine.box.y, mine.box.z, mine.box.w, __uint_as_float(static_cast<unsigned>(mine.key >> 32)),
          mine.id};
    number = min(all, limit);
    if (tid == kThreads - 1) exchange[0][0] = mine.key;
    __syncthreads();
    end = exchange[0][0];
    __syncthreads();
  }

  // Whole lines: eight bytes a thread, one behind the other.
  static_assert(sizeof(RawDetection) == 3 * sizeof(uint2));
  auto* const out = reinterpret_cast<uint2*>(a.detections + static_cast<long>(image) * kMaxDetections);
  for (int i = tid; i < number * 3; i += kThreads) out[i] = reinterpret_cast<const uint2*>(results)[i];
  if (tid == 0) a.detection_counts[image] = number;
}

}  // namespace

cudaError_t launch_rank(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(rank_kernel, args, dim3(kParts, static_cast<unsigned>(args.n)), kThreads, 0, shape, stream);
}

cudaError_t launch_nms(const DetectArgs& args, const LaunchShape& shape, cudaStream_t stream) {
  return launch_grid(nms_kernel, args, dim3(static_cast<unsigned>(args.n)), kThreads, 0, shape, stream);
}

}  // namespace gantry::cuda
