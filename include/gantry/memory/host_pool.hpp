#pragma once
#include "gantry/memory/slab_pool.hpp"

namespace gantry::memory {

/// Pageable host memory, touched once at construction, so that no page fault waits in the frame path.
class HostPool final : public SlabPool {
 public:
  /// @throws DeviceError where the machine has not enough memory
  explicit HostPool(std::span<const SizeClass> classes);
};

}  // namespace gantry::memory
