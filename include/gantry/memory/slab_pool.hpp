#pragma once
// The one pool behind host, pinned and device memory: a slab a size class, made at construction and cut into blocks.
// What differs is where slabs come from (SlabMemory). Thread-safe; a lease and its return take one short lock of their
// size class and touch neither the slab's bytes nor any allocator.
//
// Pools of a card also lease in stream order: a block that was leased for a stream may be given back while that stream
// still works on it. It is leased again to the same stream at once (the stream keeps the order), to another one when
// the first has passed, or, where nothing else is free, behind a wait that the card does and the host does not.
#include <memory>
#include <span>

#include "gantry/memory/gpu.hpp"
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
  /// @param gpu of stream-ordered leases; null: the pool has no streams. Outlives the pool
  SlabPool(std::unique_ptr<SlabMemory> memory, std::span<const SizeClass> classes, Gpu* gpu = nullptr);
  ~SlabPool() override;
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  /// For the host, or for streams that it has waited for: never a block that a stream still works on.
  [[nodiscard]] Result<Lease> lease(std::size_t size_bytes) noexcept override;
  /// For work on `stream`. @pre the pool has a card
  [[nodiscard]] Result<Lease> lease(std::size_t size_bytes, GpuStream stream) noexcept;
  [[nodiscard]] MemorySpace space() const noexcept override;
  [[nodiscard]] std::vector<SizeClassStats> stats() const override;

 private:
  class Bin;
  struct Use;
  [[nodiscard]] Result<Lease> find(std::size_t size_bytes, const Use& use) noexcept;

  std::unique_ptr<SlabMemory> memory_;
  std::vector<std::unique_ptr<Bin>> bins_;  ///< by block size
};

}  // namespace gantry::memory
