#pragma once
#include "gantry/memory/slab_pool.hpp"

namespace gantry::memory {

/// Pageable memory of this process, under whatever name the pool gives it.
class HostMemory final : public SlabMemory {
 public:
  explicit HostMemory(MemorySpace space) : space_(space) {}
  [[nodiscard]] std::uint8_t* allocate(std::size_t bytes) override;
  void release(std::uint8_t* slab) noexcept override;
  [[nodiscard]] MemorySpace space() const noexcept override { return space_; }

 private:
  MemorySpace space_;
};

}  // namespace gantry::memory
