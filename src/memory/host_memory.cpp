#include "memory/host_memory.hpp"

#include <cstring>
#include <new>
#include <string>

#include "gantry/core/errors.hpp"

namespace gantry::memory {

std::uint8_t* HostMemory::allocate(std::size_t bytes) {
  void* slab = ::operator new (bytes, std::align_val_t{Pool::kAlignmentBytes}, std::nothrow);
  if (slab == nullptr) {
    throw DeviceError("not enough memory for a pool of " + std::to_string(bytes >> 20) +
                      " MiB: lower the number of cameras or the batch size");
  }
  std::memset(slab, 0, bytes);
  return static_cast<std::uint8_t*>(slab);
}

void HostMemory::release(std::uint8_t* slab) noexcept {
  ::operator delete (slab, std::align_val_t{Pool::kAlignmentBytes});
}

}  // namespace gantry::memory
