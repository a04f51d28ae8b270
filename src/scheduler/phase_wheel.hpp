#pragma once
// When the next frames of cameras with a steady beat are due: a ring of buckets, each counting the frames expected in
// its quarter of a millisecond. Answers "how many arrive by when" without looking at cameras.
#include <algorithm>
#include <array>
#include <cstdint>

#include "scheduler/beat.hpp"

namespace gantry::scheduler {

class PhaseWheel {
 public:
  static constexpr Ns kWidth = 250'000;  // ns a bucket
  static constexpr int kBuckets = 512;   // horizon 128 ms
  static constexpr std::int64_t kNone = -1;

  /// @return a handle for cancel(), kNone where `due` lies past or beyond the horizon.
  std::int64_t expect(Ns due, Ns now) noexcept {
    advance(now);
    const std::int64_t bucket = due / kWidth;
    if (bucket < first_ || bucket >= first_ + kBuckets) return kNone;
    ++count_[bucket % kBuckets];
    ++total_;
    return bucket;
  }

  void cancel(std::int64_t handle) noexcept {
    if (handle < first_ || handle == kNone) return;  // its time has passed and the bucket was cleared
    --count_[handle % kBuckets];
    --total_;
  }

  /// Forgets what was due more than one bucket ago: those frames are late or lost, and waiting for them is over.
  void advance(Ns now) noexcept {
    const std::int64_t first = now / kWidth - 1;
    if (first <= first_) return;
    const std::int64_t clear_to = std::min(first, first_ + kBuckets);
    for (std::int64_t bucket = first_; total_ > 0 && bucket < clear_to; ++bucket) {
      total_ -= count_[bucket % kBuckets];
      count_[bucket % kBuckets] = 0;
    }
    first_ = first;
  }

  [[nodiscard]] int total() const noexcept { return total_; }

  /// Calls visit(time, count) for each bucket with frames up to `until`, in order, until it returns false. A bucket's
  /// time is its middle, and never before `now`. @pre advance(now)
  template <typename Visit>
  void each(Ns now, Ns until, Visit&& visit) const {
    if (total_ == 0) return;
    const std::int64_t last = std::min(until / kWidth, first_ + kBuckets - 1);
    for (std::int64_t bucket = first_; bucket <= last; ++bucket) {
      const int count = count_[bucket % kBuckets];
      if (count == 0) continue;
      if (!visit(std::max(now, bucket * kWidth + kWidth / 2), count)) return;
    }
  }

 private:
  std::array<std::uint16_t, kBuckets> count_{};
  std::int64_t first_ = 0;
  int total_ = 0;
};

}  // namespace gantry::scheduler
