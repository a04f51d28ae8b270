#include "cli/allocator.hpp"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>

#include <algorithm>
#include <thread>
#endif

namespace gantry::cli {

// glibc gives threads arenas of their own, up to eight for each core, and an arena keeps the most that it ever held.
// Each camera is threads that come and go with it, so after a day of changes every arena would hold pictures that are
// long gone. One arena for each core is enough for threads that allocate nothing once they are warm. And blocks of a
// picture's size go back to the system when they are freed; left to itself, glibc stops that after the first of them.
void settle_allocator() noexcept {
#ifdef __GLIBC__
  if (std::getenv("MALLOC_ARENA_MAX") != nullptr || std::getenv("GLIBC_TUNABLES") != nullptr) return;  // somebody chose
  constexpr int kLeastArenas = 2;
  constexpr int kOwnMapping = 256 * 1024;  // bytes
  ::mallopt(M_ARENA_MAX, std::max(kLeastArenas, static_cast<int>(std::thread::hardware_concurrency())));
  ::mallopt(M_MMAP_THRESHOLD, kOwnMapping);
#endif
}

}  // namespace gantry::cli
