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

/// The blocks of one size class.
class SlabPool::Bin {
 public:
  Bin(SlabMemory& memory, SizeClass size_class)
      : memory_(memory),
        stats_{size_class.block_bytes, size_class.blocks},
        slab_(memory.allocate(size_class.block_bytes * size_class.blocks)),
        blocks_(std::make_unique<Block[]>(size_class.blocks)) {
    free_.reserve(size_class.blocks);
    for (std::size_t i = size_class.blocks; i > 0; --i) {
      Block& block = blocks_[i - 1];
      block.bin = this;
      block.data = slab_ + (i - 1) * size_class.block_bytes;
      free_.push_back(&block);
    }
  }
  ~Bin() { memory_.release(slab_); }
  Bin(const Bin&) = delete;
  Bin& operator=(const Bin&) = delete;

  [[nodiscard]] std::size_t block_bytes() const noexcept { return stats_.block_bytes; }

  /// An empty lease where no block is free.
  [[nodiscard]] Lease take(std::size_t size_bytes) noexcept {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      ++stats_.exhausted;
      return {};
    }
    Block* block = free_.back();
    free_.pop_back();
    ++stats_.leases;
    ++stats_.in_use;
    stats_.high_water = std::max(stats_.high_water, stats_.in_use);
    return {block->data, size_bytes, stats_.block_bytes, StorageRef(block)};
  }

  [[nodiscard]] SizeClassStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  struct Block final : Storage {
    Bin* bin = nullptr;
    std::uint8_t* data = nullptr;
    void recycle() noexcept override { bin->give_back(this); }
  };

  void give_back(Block* block) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(block);  // within the capacity that was reserved for all blocks
    --stats_.in_use;
  }

  SlabMemory& memory_;
  mutable std::mutex mutex_;
  SizeClassStats stats_;
  std::uint8_t* slab_;
  std::unique_ptr<Block[]> blocks_;
  std::vector<Block*> free_;
};

SlabPool::SlabPool(std::unique_ptr<SlabMemory> memory, std::span<const SizeClass> classes)
    : memory_(std::move(memory)) {
  std::map<std::size_t, std::size_t> blocks_of;
  for (const SizeClass& size_class : classes) {
    GANTRY_EXPECTS(size_class.block_bytes > 0 && size_class.blocks > 0,
                   "a size class needs a block size and at least one block");
    blocks_of[round_up(size_class.block_bytes)] += size_class.blocks;
  }
  for (const auto& [block_bytes, blocks] : blocks_of) {
    bins_.push_back(std::make_unique<Bin>(*memory_, SizeClass{block_bytes, blocks}));
  }
}

SlabPool::~SlabPool() = default;

Result<Lease> SlabPool::lease(std::size_t size_bytes) noexcept {
  // The messages fit a string's own buffer: refusing must not allocate either.
  if (bins_.empty() || size_bytes > bins_.back()->block_bytes()) return fail(ErrorCode::kInvalid, "block too large");
  for (const auto& bin : bins_) {
    if (bin->block_bytes() < size_bytes) continue;
    Lease lease = bin->take(size_bytes);
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
