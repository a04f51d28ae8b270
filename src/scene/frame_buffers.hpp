#pragma once
// Blocks for a source's frames: grows to what is out at once, then allocates no more. Blocks may outlive the source;
// the last of them takes the pool along. Thread-safe.
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "gantry/core/storage.hpp"

namespace gantry::scene {

class FrameBuffers : public std::enable_shared_from_this<FrameBuffers> {
 public:
  explicit FrameBuffers(std::size_t bytes) : bytes_(bytes) {}
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
        free_.reserve(blocks_.size());
        block = blocks_.back().get();
      }
    }
    block->home = shared_from_this();
    return {block->bytes.get(), StorageRef(block)};
  }
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
      const std::lock_guard lock(pool->mutex_);  // let go before `pool` is
      pool->free_.push_back(this);
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
