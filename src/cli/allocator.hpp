#pragma once

namespace gantry::cli {

/// Sets the C library's allocator up for a server that runs for months. To be called before the first thread starts.
void settle_allocator() noexcept;

}  // namespace gantry::cli
