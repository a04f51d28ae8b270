#include "gantry/memory/fake_pool.hpp"

#include "memory/host_memory.hpp"

namespace gantry::memory {

FakePool::FakePool(std::span<const SizeClass> classes, MemorySpace pretend)
    : SlabPool(std::make_unique<HostMemory>(pretend), classes) {}

Result<Lease> FakePool::lease(std::size_t size_bytes) noexcept {
  int left = dry_.load();
  while (left > 0 && !dry_.compare_exchange_weak(left, left - 1)) {
  }
  if (left > 0) return fail(ErrorCode::kExhausted, "pool exhausted");
  return SlabPool::lease(size_bytes);
}

}  // namespace gantry::memory
