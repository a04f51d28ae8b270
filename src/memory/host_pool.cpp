#include "gantry/memory/host_pool.hpp"

#include "memory/host_memory.hpp"

namespace gantry::memory {

HostPool::HostPool(std::span<const SizeClass> classes)
    : SlabPool(std::make_unique<HostMemory>(MemorySpace::kHost), classes) {}

}  // namespace gantry::memory
