#pragma once
// Pools of a card's own memory and of page-locked host memory, for leases with and without a stream.
#include <memory>

#include "gantry/memory/slab_pool.hpp"

namespace gantry::memory {

/// Device memory: its bytes can't be touched by the host. Streams that blocks were leased for outlive the pool.
class DevicePool final : public SlabPool {
 public:
  /// @throws DeviceError where the card has not enough memory left
  DevicePool(std::shared_ptr<Gpu> gpu, std::span<const SizeClass> classes);
};

/// Host memory that a card reads and writes at full speed while the host goes on.
class PinnedPool final : public SlabPool {
 public:
  /// @throws DeviceError where the machine can't lock that much
  PinnedPool(std::shared_ptr<Gpu> gpu, std::span<const SizeClass> classes);
};

}  // namespace gantry::memory
