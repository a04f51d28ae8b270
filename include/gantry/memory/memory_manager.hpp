#pragma once
// All memory that one device lends: pools of device, pinned and host memory made at start, the streams to use them on,
// and the budget of the card.
//
//   gantry::MemoryManager memory(gantry::memory::open_gpu(0), {.device = {{1 << 20, 64}}});
//   auto context = memory.context(/*high_priority=*/true);       // a stream of its own until it dies
//   auto input = context->tensor({{8, 3, 384, 640}, DataType::kFloat16});
//
// Owner: app, one a device; without a card it lends host memory only. Thread-safe. Must outlive its leases.
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "gantry/memory/budget.hpp"
#include "gantry/memory/pool.hpp"

namespace gantry {

namespace memory {
class Gpu;
}

enum class DataType : std::uint8_t { kUint8, kFloat16, kFloat32, kInt32, kInt64 };
[[nodiscard]] constexpr std::size_t bytes_of(DataType type) noexcept {
  constexpr std::array<std::size_t, 5> kBytes{1, 2, 4, 4, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

/// A dense array: the last dimension is contiguous.
struct TensorDescriptor {
  static constexpr std::size_t kMaxRank = 8;

  /// @pre rank is at most kMaxRank, every dimension at least 1
  TensorDescriptor(std::initializer_list<std::int64_t> shape, DataType data_type,
                   MemorySpace memory_space = MemorySpace::kDevice);

  std::array<std::int64_t, kMaxRank> dims{};
  std::size_t rank = 0;
  DataType type = DataType::kUint8;
  MemorySpace space = MemorySpace::kDevice;
  /// Elements times their size. @throws PreconditionError where that is more than a size can say
  [[nodiscard]] std::size_t bytes() const;
};

struct MemoryOptions {
  double fraction = 0.8;          ///< of the card's memory that Gantry may take, above 0 up to 1
  int streams = 4;                ///< of normal priority, 1…8
  int high_priority_streams = 1;  ///< 0…8
  std::vector<memory::SizeClass> device;
  std::vector<memory::SizeClass> pinned;
  std::vector<memory::SizeClass> host;
};

struct PoolStats {
  MemorySpace space = MemorySpace::kHost;
  std::vector<memory::SizeClassStats> classes;
};
struct StreamStats {
  int streams = 0;
  int in_use = 0;
  int high_water = 0;
  std::uint64_t leases = 0;
  std::uint64_t exhausted = 0;
};
struct MemoryStats {
  std::string device;  ///< "cuda:0 (NVIDIA H100 80GB HBM3)" or "cpu"
  memory::BudgetStats budget;
  std::vector<PoolStats> pools;
  StreamStats normal, high_priority;
};
/// Lines of a table for people: a pool and size class each, then streams and the budget.
[[nodiscard]] std::string format_table(const MemoryStats& stats);

class MemoryManager {
  struct Streams;

 public:
  /// A stream and its device's pools, the holder's alone. Move-only; what it leased lives on without it.
  class Context {
   public:
    Context(Context&& other) noexcept
        : manager_(std::exchange(other.manager_, nullptr)), streams_(other.streams_), stream_(other.stream_) {}
    Context& operator=(Context&&) = delete;
    Context(const Context&) = delete;
    ~Context();

    [[nodiscard]] int device() const noexcept;                       ///< the card's index, -1: host only
    [[nodiscard]] void* stream() const noexcept { return stream_; }  ///< a CUstream; null: host only
    /// As MemoryManager::tensor(), in this stream's order: it may die while the stream still works on it.
    [[nodiscard]] Result<memory::Lease> tensor(const TensorDescriptor& descriptor) noexcept;

   private:
    friend class MemoryManager;
    Context(MemoryManager* manager, Streams* streams, void* stream)
        : manager_(manager), streams_(streams), stream_(stream) {}
    MemoryManager* manager_;
    Streams* streams_;
    void* stream_;
  };

  /// @param gpu null: host memory only
  /// @throws DeviceError where the size classes do not fit into the budget or the machine; PreconditionError for
  ///         options out of range
  MemoryManager(std::shared_ptr<memory::Gpu> gpu, const MemoryOptions& options);
  ~MemoryManager();
  MemoryManager(const MemoryManager&) = delete;
  MemoryManager& operator=(const MemoryManager&) = delete;

  /// kExhausted where every stream of that priority is taken; a full high priority is helped out by the normal one.
  [[nodiscard]] Result<Context> context(bool high_priority = false) noexcept;
  /// From the pool of the descriptor's space, smallest class that fits and has a block free. kExhausted where none has;
  /// kInvalid where no class is that large or there is no such pool.
  [[nodiscard]] Result<memory::Lease> tensor(const TensorDescriptor& descriptor) noexcept;
  /// What else takes memory of the card (decoders, engines) reserves it here.
  [[nodiscard]] memory::MemoryBudget& budget() noexcept;
  [[nodiscard]] MemoryStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry
