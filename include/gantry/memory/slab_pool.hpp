#pragma once
// The one pool behind host, pinned and device memory: a slab a size class, made at construction and cut into blocks.
// What differs is where slabs come from (SlabMemory). Thread-safe; a lease and its return take one short lock of their
// size class and touch neither the slab's bytes nor any allocator.
#include <memory>
#include <span>

#include "gantry/memory/pool.hpp"

namespace gantry::memory {

/// Where slabs come from. Used at construction and destruction of a pool only.
class SlabMemory {
 public:
  virtual ~SlabMemory() = default;
  /// Aligned to Pool::kAlignmentBytes. @throws DeviceError where there is not enough
  [[nodiscard]] virtual std::uint8_t* allocate(std::size_t bytes) = 0;
  virtual void release(std::uint8_t* slab) noexcept = 0;
  [[nodiscard]] virtual MemorySpace space() const noexcept = 0;
};

class SlabPool : public Pool {
 public:
  /// Classes may come in any order; those of equal block size are joined.
  /// @pre every class has a block size and at least one block
  /// @throws DeviceError where `memory` has not enough
  SlabPool(std::unique_ptr<SlabMemory> memory, std::span<const SizeClass> classes);
  ~SlabPool() override;
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  [[nodiscard]] Result<Lease> lease(std::size_t size_bytes) noexcept override;
  [[nodiscard]] MemorySpace space() const noexcept override;
  [[nodiscard]] std::vector<SizeClassStats> stats() const override;

 private:
  class Bin;
  std::unique_ptr<SlabMemory> memory_;
  std::vector<std::unique_ptr<Bin>> bins_;  ///< by block size
};

}  // namespace gantry::memory
