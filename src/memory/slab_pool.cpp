#include "gantry/memory/slab_pool.hpp"

#include <algorithm>
#include <map>
#include <mutex>

namespace gantry::memory {
namespace {

constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + Pool::kAlignmentBytes - 1) / Pool::kAlignmentBytes * Pool::kAlignmentBytes;
}

}  // namespace

/// Whose work a block is leased for.
struct SlabPool::Use {
  bool on_stream = false;
  GpuStream stream = nullptr;
};

/// The blocks of one size class.
class SlabPool::Bin {
 public:
  Bin(SlabMemory& memory, SizeClass size_class, Gpu* gpu)
      : memory_(memory),
        gpu_(gpu),
        stats_{size_class.block_bytes, size_class.blocks},
        slab_(memory.allocate(size_class.block_bytes * size_class.blocks)),
        blocks_(std::make_unique<Block[]>(size_class.blocks)) {
    free_.reserve(size_class.blocks);
    returning_.reserve(size_class.blocks);
    for (std::size_t i = size_class.blocks; i > 0; --i) {
      Block& block = blocks_[i - 1];
      block.bin = this;
      block.data = slab_ + (i - 1) * size_class.block_bytes;
      if (gpu_ != nullptr) block.mark = gpu_->make_mark();
      free_.push_back(&block);
    }
  }
  ~Bin() {
    for (Block* block : returning_) (void)gpu_->synchronise(block->use.stream);
    if (gpu_ != nullptr)
      for (std::size_t i = 0; i < stats_.blocks; ++i) gpu_->destroy_mark(blocks_[i].mark);
    memory_.release(slab_);
  }
  Bin(const Bin&) = delete;
  Bin& operator=(const Bin&) = delete;

  [[nodiscard]] std::size_t block_bytes() const noexcept { return stats_.block_bytes; }

  /// An empty lease where no block is free.
  [[nodiscard]] Lease take(std::size_t size_bytes, const Use& use) noexcept {
    const std::lock_guard lock(mutex_);
    Block* block = choose(use);
    if (block == nullptr) {
      ++stats_.exhausted;
      return {};
    }
    block->use = use;
    ++stats_.leases;
    ++stats_.in_use;
    stats_.high_water = std::max(stats_.high_water, stats_.in_use + returning_.size());
    return {block->data, size_bytes, stats_.block_bytes, StorageRef(block)};
  }

  [[nodiscard]] SizeClassStats stats() const {
    const std::lock_guard lock(mutex_);
    SizeClassStats stats = stats_;
    stats.returning = returning_.size();
    return stats;
  }

 private:
  struct Block final : Storage {
    Bin* bin = nullptr;
    std::uint8_t* data = nullptr;
    GpuMark mark = nullptr;  ///< behind its last use; of pools with a card
    Use use;                 ///< of the lease that holds it or gave it back
    void recycle() noexcept override { bin->give_back(this); }
  };

  /// Blocks that need no wait first, and of those the ones that were in use before: the high-water mark then says how
  /// many are needed.
  Block* choose(const Use& use) noexcept {
    const auto take_returning = [this](auto fits) -> Block* {
      const auto found = std::find_if(returning_.begin(), returning_.end(), fits);
      if (found == returning_.end()) return nullptr;
      Block* block = *found;
      returning_.erase(found);
      return block;
    };
    if (use.on_stream)
      if (Block* block = take_returning([&](const Block* b) { return b->use.stream == use.stream; })) return block;
    if (Block* block = take_returning([&](const Block* b) { return gpu_->passed(b->mark); })) return block;
    if (!free_.empty()) {
      Block* block = free_.back();
      free_.pop_back();
      return block;
    }
    if (!use.on_stream) return nullptr;
    return take_returning([&](const Block* b) { return gpu_->follow(use.stream, b->mark); });
  }

  void give_back(Block* block) noexcept {
    const std::lock_guard lock(mutex_);
    // Both lists are within the capacity that was reserved for all blocks.
    if (block->use.on_stream && gpu_->record(block->mark, block->use.stream))
      returning_.push_back(block);
    else
      free_.push_back(block);
    --stats_.in_use;
  }

  SlabMemory& memory_;
  Gpu* const gpu_;
  mutable std::mutex mutex_;
  SizeClassStats stats_;
  std::uint8_t* slab_;
  std::unique_ptr<Block[]> blocks_;
  std::vector<Block*> free_;
  std::vector<Block*> returning_;  ///< given back while their stream may still work on them, oldest first
};

SlabPool::SlabPool(std::unique_ptr<SlabMemory> memory, std::span<const SizeClass> classes, Gpu* gpu)
    : memory_(std::move(memory)) {
  std::map<std::size_t, std::size_t> blocks_of;
  for (const SizeClass& size_class : classes) {
    GANTRY_EXPECTS(size_class.block_bytes > 0 && size_class.blocks > 0,
                   "a size class needs a block size and at least one block");
    blocks_of[round_up(size_class.block_bytes)] += size_class.blocks;
  }
  for (const auto& [block_bytes, blocks] : blocks_of) {
    bins_.push_back(std::make_unique<Bin>(*memory_, SizeClass{block_bytes, blocks}, gpu));
  }
}

SlabPool::~SlabPool() = default;

Result<Lease> SlabPool::lease(std::size_t size_bytes) noexcept {
  return find(size_bytes, {});
}

Result<Lease> SlabPool::lease(std::size_t size_bytes, GpuStream stream) noexcept {
  return find(size_bytes, {true, stream});
}

Result<Lease> SlabPool::find(std::size_t size_bytes, const Use& use) noexcept {
  // The messages fit a string's own buffer: refusing must not allocate either.
  if (bins_.empty() || size_bytes > bins_.back()->block_bytes()) return fail(ErrorCode::kInvalid, "block too large");
  for (const auto& bin : bins_) {
    if (bin->block_bytes() < size_bytes) continue;
    Lease lease = bin->take(size_bytes, use);
    if (lease.storage) return lease;
  }
  return fail(ErrorCode::kExhausted, "pool exhausted");
}

MemorySpace SlabPool::space() const noexcept {
  return memory_->space();
}

std::vector<SizeClassStats> SlabPool::stats() const {
  std::vector<SizeClassStats> result;
  for (const auto& bin : bins_) result.push_back(bin->stats());
  return result;
}

}  // namespace gantry::memory
