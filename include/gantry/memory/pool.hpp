#pragma once
// Pools of equal-purpose blocks made at start, so that the frame path never allocates. Host, pinned and device pools
// share this interface and one contract test suite (tests/memory).
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"
#include "gantry/core/storage.hpp"

namespace gantry::memory {

/// A block on loan. The lease keeps it; copies share it; the last one gives it back to its pool on any thread.
struct Lease {
  std::uint8_t* data = nullptr;    ///< aligned to Pool::kAlignmentBytes
  std::size_t size_bytes = 0;      ///< what was asked for
  std::size_t capacity_bytes = 0;  ///< the size class it came from
  StorageRef storage;
};

struct SizeClass {
  std::size_t block_bytes = 0;  ///< rounded up to a multiple of 256
  std::size_t blocks = 0;       ///< how many to make at start
};

struct SizeClassStats {
  std::size_t block_bytes = 0;
  std::size_t blocks = 0;
  std::size_t in_use = 0;
  std::size_t returning = 0;    ///< given back, and a stream may still work on them
  std::size_t high_water = 0;   ///< most in use or returning at once
  std::uint64_t leases = 0;     ///< served since start
  std::uint64_t exhausted = 0;  ///< asked for and not to be had, since start
};

/// A reading of one pool, under the name it has in metrics.
struct PoolReading {
  std::string name;  ///< "pictures", "cuda:0 arena"
  std::vector<SizeClassStats> classes;
};

/// Thread-safe. Must outlive its leases.
class Pool {
 public:
  static constexpr std::size_t kAlignmentBytes = 256;
  virtual ~Pool() = default;
  /// A block of at least `size_bytes` from the smallest size class that fits and has one free. kExhausted where none
  /// has, kInvalid where no class is that large. Never allocates, never waits.
  [[nodiscard]] virtual Result<Lease> lease(std::size_t size_bytes) noexcept = 0;
  [[nodiscard]] virtual MemorySpace space() const noexcept = 0;
  [[nodiscard]] virtual std::vector<SizeClassStats> stats() const = 0;
};

}  // namespace gantry::memory
