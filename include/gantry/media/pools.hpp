#pragma once
#include "gantry/memory/pool.hpp"

namespace gantry::media {

/// Decoded pictures of all cameras that are on loan, by size. These pools grow to what is in flight and then allocate
/// nothing more; the high water is the sum of each camera's own. Thread-safe; takes each camera's short lock once.
[[nodiscard]] memory::PoolReading picture_pools();

}  // namespace gantry::media
