#pragma once
// A pool for tests of whoever uses pools: host memory under any name, and shortage on demand.
#include <atomic>

#include "gantry/memory/slab_pool.hpp"

namespace gantry::memory {

class FakePool final : public SlabPool {
 public:
  explicit FakePool(std::span<const SizeClass> classes, MemorySpace pretend = MemorySpace::kDevice);

  [[nodiscard]] Result<Lease> lease(std::size_t size_bytes) noexcept override;
  /// The next `count` leases fail with kExhausted, whatever is free. Thread-safe.
  void run_dry(int count) noexcept { dry_ = count; }

 private:
  std::atomic<int> dry_{0};
};

}  // namespace gantry::memory
