#pragma once
#include <cstdint>

namespace gantry::media::testing {

/// Calls of operator new by any thread since the program's start.
[[nodiscard]] std::uint64_t allocations_so_far() noexcept;

}  // namespace gantry::media::testing
