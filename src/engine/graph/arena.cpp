// Packs buffers into the arena: two buffers share memory only where one is finished before the other begins. Largest
// first, each at the lowest gap that fits among those it may not share with; the usual result is within a few percent
// of the peak.
#include <algorithm>
#include <bit>
#include <numeric>

#include "gantry/engine/graph/planner.hpp"

namespace gantry::graph {
namespace {

constexpr std::size_t kAlignment = 256;  // bytes: whole sectors, and enough for every vector and bulk copy
std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Who touches each buffer.
struct Uses {
  std::vector<int> writers, readers;
};

std::vector<Uses> uses_of(const Plan& plan) {
  std::vector<Uses> uses(plan.buffers.size());
  for (int i = 0; i < static_cast<int>(plan.ops.size()); ++i) {
    const Op& op = plan.ops[static_cast<std::size_t>(i)];
    for (const View& view : op.inputs) uses[static_cast<std::size_t>(view.buffer)].readers.push_back(i);
    for (const View& view : op.outputs) uses[static_cast<std::size_t>(view.buffer)].writers.push_back(i);
    if (const auto* conv = op.as<ConvOp>(); conv != nullptr && conv->residual)
      uses[static_cast<std::size_t>(conv->residual->buffer)].readers.push_back(i);
  }
  return uses;
}

/// reaches[a] holds b where op b runs after op a in every order that the dependencies allow.
class Reach {
 public:
  Reach(const Plan& plan, PlanOptions::Order order) : sequential_(order == PlanOptions::Order::kSequential) {
    const std::size_t n = plan.ops.size();
    if (sequential_) return;
    after_.assign(n, std::vector<bool>(n, false));
    for (std::size_t b = 0; b < n; ++b)
      for (const int source : plan.ops[b].depends_on) {
        const auto a = static_cast<std::size_t>(source);
        for (std::size_t earlier = 0; earlier <= a; ++earlier)
          if (earlier == a || after_[earlier][a]) after_[earlier][b] = true;
      }
  }
  bool before(int a, int b) const {
    return sequential_ ? a < b : after_[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)];
  }

 private:
  bool sequential_;
  std::vector<std::vector<bool>> after_;
};

/// Everybody is done with `a` before anybody writes `b`.
bool ends_before(const Uses& a, const Uses& b, const Reach& reach) {
  const auto all_before = [&](const std::vector<int>& ops) {
    return std::all_of(ops.begin(), ops.end(), [&](int x) {
      return std::all_of(b.writers.begin(), b.writers.end(), [&](int y) { return reach.before(x, y); });
    });
  };
  return all_before(a.readers) && all_before(a.writers);
}

/// Gives every buffer in `members` its offset; returns the region's size. Crossing buffers (`whole_run`) can be live
/// while a segment repeats, so they share only between segments.
std::size_t pack(Plan& plan, std::vector<int> members, const std::vector<Uses>& uses, const Reach& reach) {
  std::stable_sort(members.begin(), members.end(), [&](int a, int b) {
    return plan.buffers[static_cast<std::size_t>(a)].bytes() > plan.buffers[static_cast<std::size_t>(b)].bytes();
  });
  struct Placed {
    std::size_t begin, end;
    int buffer;
  };
  std::vector<Placed> placed;
  std::size_t size = 0;
  for (const int member : members) {
    Buffer& buffer = plan.buffers[static_cast<std::size_t>(member)];
    const std::size_t bytes = aligned(buffer.bytes());
    const Uses& mine = uses[static_cast<std::size_t>(member)];
    std::vector<Placed> conflicts;
    for (const Placed& other : placed) {
      const Uses& theirs = uses[static_cast<std::size_t>(other.buffer)];
      if (!ends_before(mine, theirs, reach) && !ends_before(theirs, mine, reach)) conflicts.push_back(other);
    }
    std::sort(conflicts.begin(), conflicts.end(), [](const Placed& a, const Placed& b) { return a.begin < b.begin; });
    std::size_t at = 0;
    for (const Placed& conflict : conflicts) {
      if (at + bytes <= conflict.begin) break;
      at = std::max(at, conflict.end);
    }
    buffer.offset = at;
    placed.push_back({at, at + bytes, member});
    size = std::max(size, at + bytes);
  }
  return size;
}

int segment_of(const Plan& plan, int op) {
  for (std::size_t i = 0; i < plan.segments.size(); ++i)
    if (op < plan.segments[i].first_op + plan.segments[i].op_count) return static_cast<int>(i);
  return -1;
}

/// The one segment that a buffer's ops lie in, or -1.
int home_of(const Plan& plan, const Uses& uses) {
  int home = -2;
  for (const auto* ops : {&uses.writers, &uses.readers})
    for (const int op : *ops) {
      const int segment = segment_of(plan, op);
      if (home == -2) home = segment;
      if (home != segment) return -1;
    }
  return home;
}

/// A segment runs several times over: what crosses into or out of it lives through all of it.
void widen(const Plan& plan, Uses& uses) {
  for (auto* ops : {&uses.writers, &uses.readers}) {
    std::vector<int> all;
    for (const int op : *ops) {
      const Segment& segment = plan.segments[static_cast<std::size_t>(segment_of(plan, op))];
      for (int i = 0; i < segment.op_count; ++i) all.push_back(segment.first_op + i);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    *ops = std::move(all);
  }
}

}  // namespace

void assign_arena(Plan& plan, PlanOptions::Order order) {
  std::vector<Uses> uses = uses_of(plan);
  const Reach reach(plan, order);
  std::vector<int> crossing;
  std::vector<std::vector<int>> local(plan.segments.size());
  for (int i = 0; i < static_cast<int>(plan.buffers.size()); ++i) {
    Buffer& buffer = plan.buffers[static_cast<std::size_t>(i)];
    Uses& mine = uses[static_cast<std::size_t>(i)];
    if (buffer.external || mine.writers.empty()) continue;
    buffer.segment = home_of(plan, mine);
    if (buffer.segment < 0) {
      widen(plan, mine);
      crossing.push_back(i);
    } else {
      local[static_cast<std::size_t>(buffer.segment)].push_back(i);
    }
  }
  plan.crossing_bytes = pack(plan, crossing, uses, reach);
  plan.local_bytes.clear();
  for (const auto& members : local) plan.local_bytes.push_back(pack(plan, members, uses, reach));
}

void assign_segments(Plan& plan, std::size_t l2_bytes, PlanOptions::Order order) {
  const auto ops = static_cast<int>(plan.ops.size());
  int early = 0;
  if (l2_bytes > 0) {
    // The wide layers: everything before the first map of a sixteenth of the input's side.
    const MapSize input = size_of(plan, plan.input);
    while (early < ops && !plan.ops[static_cast<std::size_t>(early)].outputs.empty() &&
           size_of(plan, plan.ops[static_cast<std::size_t>(early)].outputs.front()).height > input.height / 16)
      ++early;
  }
  plan.segments.clear();
  if (early > 0 && early < ops) plan.segments.push_back({0, early, 1});
  const int rest = plan.segments.empty() ? 0 : early;
  plan.segments.push_back({rest, ops - rest, 0});
  assign_arena(plan, order);
  if (plan.segments.size() > 1) {
    const std::size_t images = std::max<std::size_t>(1, l2_bytes / std::max<std::size_t>(1, plan.local_bytes[0]));
    plan.segments[0].sub_batch = static_cast<int>(std::bit_floor(images));
  }
}

}  // namespace gantry::graph
