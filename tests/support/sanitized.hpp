#pragma once
// What a sanitizer changes about the program it watches.

namespace gantry::test {

/// Whether this build runs under AddressSanitizer or ThreadSanitizer. Both slow it down several times and keep freed
/// memory back: latencies and resident memory then say nothing, and an allocation that cannot be granted ends it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace gantry::test
