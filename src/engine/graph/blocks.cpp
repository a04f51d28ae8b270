#include "engine/graph/blocks.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace gantry::graph {
namespace {

class BlockMarker {
 public:
  explicit BlockMarker(Plan& plan) : plan_(plan) {
    for (const Op& op : plan.ops)
      for (const int source : op.depends_on) ++readers_[source];
  }

  void run() {
    for (int first = 0; first < static_cast<int>(plan_.ops.size());) {
      const auto [kind, count] = block_at(first);
      if (count > 0) {
        for (int i = first; i < first + count; ++i) op(i).block = static_cast<int>(plan_.blocks.size());
        plan_.blocks.push_back({kind, first, count});
      }
      first += std::max(1, count);
    }
  }

 private:
  struct Found {
    BlockKind kind = BlockKind::kStem;
    int count = 0;
  };

  Op& op(int index) { return plan_.ops[static_cast<std::size_t>(index)]; }

  /// Op `index` hands its whole result to the next op and to nobody else.
  bool feeds_next(int index) {
    if (index + 1 >= static_cast<int>(plan_.ops.size())) return false;
    const Op& next = op(index + 1);
    return readers_[index] == 1 && op(index).outputs.size() == 1 && next.inputs.size() == 1 &&
           next.inputs.front() == op(index).outputs.front();
  }

  Found block_at(int first) {
    if (!feeds_next(first)) return {};
    const auto* a = op(first).as<ConvOp>();
    const auto* b = op(first + 1).as<ConvOp>();
    if (a != nullptr && op(first + 1).as<AttentionOp>() != nullptr && feeds_next(first + 1) &&
        op(first + 2).as<ConvOp>() != nullptr)
      return {BlockKind::kAttention, 3};
    if (a == nullptr || b == nullptr) return {};
    const auto kernel = [](const ConvOp& conv) { return conv.weights->kernel_h; };
    if (op(first).inputs.front().buffer == plan_.input.buffer) return {BlockKind::kStem, 2};
    if (a->depthwise() && !b->depthwise() && kernel(*b) == 1) return {BlockKind::kDepthwisePointwise, 2};
    if (a->depthwise() || b->depthwise() || a->stride != 1 || b->stride != 1) return {};
    const bool from_input = !b->residual || (op(first).inputs.size() == 1 && *b->residual == op(first).inputs.front());
    if (!from_input || a->residual) return {};
    if (kernel(*a) == 3 && kernel(*b) == 3) return {BlockKind::kBottleneck, 2};
    if (kernel(*a) == 1 && kernel(*b) == 1) return {BlockKind::kFeedForward, 2};
    return {};
  }

  Plan& plan_;
  std::unordered_map<int, int> readers_;
};

}  // namespace

void mark_blocks(Plan& plan) {
  BlockMarker(plan).run();
}

}  // namespace gantry::graph
