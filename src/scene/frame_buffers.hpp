#pragma once
// Blocks for a source's frames: as many as are out at once, and a few more, so that a steady source allocates nothing
// and a crowd of frames that waited once is not kept for ever. Blocks may outlive the source; the last of them takes
// the pool along. Thread-safe.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gantry/core/storage.hpp"

namespace gantry::scene {

class FrameBuffers : public std::enable_shared_from_this<FrameBuffers> {
 public:
  static constexpr std::size_t kSpare = 8;  ///< free blocks that are kept
  explicit FrameBuffers(std::size_t bytes) : bytes_(bytes) {
    free_.reserve(kSpare);  // so that recycle() never allocates
  }
  struct Lease {
    std::uint8_t* data = nullptr;
    StorageRef storage;
  };
  [[nodiscard]] Lease lease() {
    Block* block = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        block = free_.back();
        free_.pop_back();
      } else {
        blocks_.push_back(std::make_unique<Block>(bytes_));
        block = blocks_.back().get();
      }
    }
    block->home = shared_from_this();
    return {block->bytes.get(), StorageRef(block)};
  }
  /// Blocks that there are, out or free.
  [[nodiscard]] std::size_t made() const {
    const std::lock_guard lock(mutex_);
    return blocks_.size();
  }

 private:
  struct Block final : Storage {
    explicit Block(std::size_t size) : bytes(std::make_unique<std::uint8_t[]>(size)) {}
    ~Block() override = default;
    void recycle() noexcept override {
      // The pool may end with this very block.
      const std::shared_ptr<FrameBuffers> pool = std::move(home);
      std::unique_ptr<Block> surplus;            // goes without the lock
      const std::lock_guard lock(pool->mutex_);  // let go before `pool` is
      if (pool->free_.size() < kSpare) {
        pool->free_.push_back(this);
        return;
      }
      const auto mine = std::find_if(pool->blocks_.begin(), pool->blocks_.end(),
                                     [this](const auto& block) { return block.get() == this; });
      surplus = std::move(*mine);
      *mine = std::move(pool->blocks_.back());
      pool->blocks_.pop_back();
    }
    std::unique_ptr<std::uint8_t[]> bytes;
    std::shared_ptr<FrameBuffers> home;  ///< while on loan
  };
  const std::size_t bytes_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Block*> free_;
};

}  // namespace gantry::scene
