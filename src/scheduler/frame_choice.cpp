// Which frames make a batch, and in whose favour under overload.
#include <algorithm>
#include <cmath>

#include "scheduler/policy_impl.hpp"

namespace gantry::scheduler {
namespace {

constexpr double kUrgentMargin = 1.5;       // times the distance of a batch's 99th percentile from its mean
constexpr double kRivals = 1.5;             // frames that compete under overload, over those that are wanted
constexpr double kMinRivals = 32;           // at least
constexpr double kFullBacklog = 0.95;       // of what the newest frame of a lane has left
constexpr double kForwardDecayLimit = 500;  // exponent at which attained service is scaled back

constexpr int kSizeSteps[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256};

/// How frames are chosen under overload. Where nothing urgent cuts in, close to the order of deadlines: all that makes
/// it is served as late as it can be, and what is left is fresh. Where batches are cut short for urgent frames, a
/// backlog that close to its deadlines would be lost, so there it keeps a distance.
struct Overload {
  double margin;       // of a batch's time, kept between its end and its frames' deadlines
  double about_equal;  // times the mean of what the rivals got, up to which they count as equal
  Ns hold;             // how long a lane counts as overloaded after the last sign of it
};
constexpr Overload kCalm{0.02, 1.15, 20'000'000};
constexpr Overload kCutShort{0.05, 0, 250'000'000};

}  // namespace

/// Fills picked_ with the frames of class `cls` that make the best batch of at most `cap`, then with lower classes.
void GantryPolicy::Impl::pick(Device& device, ShapeId shape, int cls, int cap, Ns now) {
  picked_.clear();
  picked_deadline_ = kNsNever;
  const Lane& lane = device.lanes[shape][cls];
  const int want = std::min(lane.count, cap);
  const auto batch_ns = static_cast<Ns>(time_ns(device, shape, want));
  const Ns end = now + batch_ns;
  if (lane.count > cap) {
    // Frames too early for this batch, and frames that make it in this batch and would be late in the next.
    int tight = 0;
    int must = 0;
    for (FrameIndex index = lane.head; index != kNil && frames_[index].deadline < end + batch_ns;
         index = frames_[index].lane_next)
      ++(frames_[index].deadline < end ? tight : must);
    const Overload& rule = expects_urgent(device, now) ? kCutShort : kCalm;
    if (must > cap) device.overloaded_until[cls] = now + rule.hold;
    if (overloaded(device, shape, cls, cap, must, now) && lane.count - tight >= cap) {
      // Frames are plenty here, so those keep a margin that the batch could overrun.
      const auto margin = static_cast<Ns>(rule.margin * static_cast<double>(batch_ns));
      pick_fair(lane, cap, end + margin, false, rule.about_equal);
      return;
    }
    if (now < device.losing_until[cls] && lane.count - tight >= cap) {
      // A full batch of those in time for it; saving the tight ones with small batches would lose more than them.
      FrameIndex index = lane.head;
      while (frames_[index].deadline < end) index = frames_[index].lane_next;
      picked_deadline_ = frames_[index].deadline;
      for (int i = 0; i < cap; ++i, index = frames_[index].lane_next) picked_.push_back(index);
      return;
    }
  }
  if (frames_[lane.head].deadline >= end) {
    for (FrameIndex index = lane.head; static_cast<int>(picked_.size()) < want; index = frames_[index].lane_next)
      picked_.push_back(index);
    picked_deadline_ = frames_[lane.head].deadline;
  } else {
    pick_tight(device, lane, shape, cap, now < device.losing_until[cls], now);
  }
}

/// Whether frames of this lane will be lost whatever is done: some would be late in the next batch already, or they
/// were lately and the time that all of them need is about what the newest has left.
bool GantryPolicy::Impl::overloaded(const Device& device, ShapeId shape, int cls, int cap, int must, Ns now) const {
  if (must > cap) return true;
  if (now >= device.overloaded_until[cls]) return false;
  const Lane& lane = device.lanes[shape][cls];
  const double batch = time_ns(device, shape, cap);
  const double left = static_cast<double>(frames_[lane.tail].deadline - now) - batch;
  return lane.count * batch / cap >= kFullBacklog * left;
}

/// `want` frames with deadlines from `not_before` on, of the cameras that got least so far; who got no more than
/// `about_equal` times the mean counts as equal, and among equals the earliest deadline comes first. Only the earliest
/// compete, so that the order stays near the deadlines', the backlog stays fresh, and the cost does not grow with it.
/// Those that miss out are marked, so that their end says why.
void GantryPolicy::Impl::pick_fair(const Lane& lane, int want, Ns not_before, bool movable, double about_equal) {
  const double unit = fair_unit(now_);
  const auto rivals = static_cast<std::size_t>(std::max(kRivals * want, kMinRivals));
  scored_.clear();
  ++mark_;
  for (FrameIndex index = lane.head; index != kNil; index = frames_[index].lane_next) {
    WaitingFrame& frame = frames_[index];
    Camera& camera = cameras_[frame.camera];
    if (frame.deadline < not_before || (movable && camera.spec.pinned)) continue;
    if (scored_.size() >= rivals) break;
    if (camera.mark != mark_) camera.mark = mark_, camera.marked = 0;
    scored_.push_back({camera.attained + camera.marked++ * unit / camera.spec.weight, index});
  }
  // Who got about as much as the others is not set back for the luck of an arrival: among those the deadlines decide.
  double sum = 0;
  for (const Scored& scored : scored_) sum += scored.key;
  const double level = about_equal * sum / static_cast<double>(std::max<std::size_t>(1, scored_.size()));
  for (Scored& scored : scored_) scored.key = std::max(scored.key, level);
  const auto by_key = [&](const Scored& a, const Scored& b) {
    if (a.key != b.key) return a.key < b.key;
    return frames_[a.frame].deadline < frames_[b.frame].deadline;
  };
  want = std::min(want, static_cast<int>(scored_.size()));
  if (want == 0) return;
  std::nth_element(scored_.begin(), scored_.begin() + (want - 1), scored_.end(), by_key);
  for (int i = 0; i < want; ++i) {
    picked_.push_back(scored_[i].frame);
    picked_deadline_ = std::min(picked_deadline_, frames_[scored_[i].frame].deadline);
  }
  for (std::size_t i = want; i < scored_.size(); ++i) frames_[scored_[i].frame].passed_over = true;
}

/// The earliest frames are too tight for a batch of all. Tries batch sizes; each leaves out those it would be too slow
/// for. Takes the one after which most frames, its own and those of the batch after it, are in time; under overload a
/// device's time is worth what it could do with it.
void GantryPolicy::Impl::pick_tight(const Device& runner, const Lane& lane, ShapeId shape, int cap, bool overloaded,
                                    Ns now) {
  deadlines_.clear();
  for (FrameIndex index = lane.head; index != kNil && static_cast<int>(deadlines_.size()) < 2 * cap;
       index = frames_[index].lane_next)
    deadlines_.push_back(frames_[index].deadline);
  const auto from = [&](double end) {
    return static_cast<int>(std::lower_bound(deadlines_.begin(), deadlines_.end(), static_cast<Ns>(end)) -
                            deadlines_.begin());
  };
  const int all = static_cast<int>(deadlines_.size());
  const double worth = overloaded ? cap / time_ns(runner, shape, cap) : 0;
  double best_score = 0;
  double best_time = 0;
  int best_skip = 0;
  int best_size = 0;
  for (const int step : kSizeSteps) {
    const int size = std::min({step, cap, all});
    const double time = time_ns(runner, shape, size);
    const int skip = from(static_cast<double>(now) + time);
    const int run = std::min(size, all - skip);
    if (run > 0) {
      const double run_time = run == size ? time : time_ns(runner, shape, run);
      const int rest = std::min(cap, all - skip - run);
      int rest_met = 0;
      double rest_time = 0;
      if (rest > 0) {
        rest_time = time_ns(runner, shape, rest);
        const int rest_skip = std::max(from(static_cast<double>(now) + run_time + rest_time), skip + run);
        rest_met = std::min(rest, all - rest_skip);
      }
      const double total = run_time + rest_time;
      const double score = run + rest_met - worth * total;
      if (best_size == 0 || score > best_score + 1e-9 || (score > best_score - 1e-9 && total < best_time))
        best_score = score, best_time = total, best_skip = skip, best_size = run;
    }
    if (step >= cap || step >= all) break;
  }
  FrameIndex index = lane.head;
  for (int i = 0; i < best_skip; ++i) index = frames_[index].lane_next;
  for (int i = 0; i < best_size; ++i, index = frames_[index].lane_next) {
    picked_.push_back(index);
    picked_deadline_ = std::min(picked_deadline_, frames_[index].deadline);
  }
}

/// Places left in the batch go to frames of classes from `from_cls` on of the same shape, as far as nobody picked
/// becomes late by it: the runner's own lower classes, or frames of a device that is behind.
void GantryPolicy::Impl::fill(const Device& runner, Device& source, ShapeId shape, int cls, int from_cls, int cap,
                              Ns now) {
  const DeviceId id = runner.spec.id;
  const bool foreign = &runner != &source;
  for (int lower = from_cls; lower < kPriorityCount; ++lower) {
    const Lane& lane = source.lanes[shape][lower];
    const int have = static_cast<int>(picked_.size());
    if (lane.count == 0 || have >= cap) continue;
    const double factor = cls <= kUrgent ? 1 + kUrgentMargin * (latency_.high_factor(id, shape) - 1)
                                         : latency_.likely_factor(id, shape, config_.margin_sigmas);
    const int room =
        picked_.empty() ? cap : latency_.largest_batch(id, shape, static_cast<double>(picked_deadline_ - now), factor);
    int want = std::min({room, cap, have + lane.count}) - have;
    if (want <= 0) continue;
    const Ns end = now + static_cast<Ns>(time_ns(runner, shape, have + want));
    FrameIndex index = lane.head;
    int in_time = lane.count;
    for (; index != kNil && frames_[index].deadline < end; index = frames_[index].lane_next) --in_time;
    if (in_time > want && now < source.overloaded_until[lower]) {
      pick_fair(lane, want, end, foreign, (expects_urgent(source, now) ? kCutShort : kCalm).about_equal);
      continue;
    }
    for (; want > 0 && index != kNil; index = frames_[index].lane_next) {
      if (foreign && cameras_[frames_[index].camera].spec.pinned) continue;
      picked_.push_back(index);
      picked_deadline_ = std::min(picked_deadline_, frames_[index].deadline);
      --want;
    }
  }
}

/// What one frame started now adds to its camera's attained service, for weight 1. Attained service decays with
/// fairness_memory; instead of shrinking all cameras' values, the unit grows (forward decay).
double GantryPolicy::Impl::fair_unit(Ns now) {
  const auto memory = static_cast<double>(config_.fairness_memory.count());
  if (epoch_ == std::numeric_limits<Ns>::min()) epoch_ = now;
  const double exponent = static_cast<double>(now - epoch_) / memory;
  if (exponent < kForwardDecayLimit) return std::exp(exponent);
  const double scale = std::exp(-exponent);
  for (Camera& camera : cameras_) camera.attained *= scale;
  for (Device& device : devices_)
    for (auto& share : device.shares) share.arrived *= scale, share.started *= scale;
  epoch_ = now;
  return 1;
}

}  // namespace gantry::scheduler
