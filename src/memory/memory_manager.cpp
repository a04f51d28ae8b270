#include "gantry/memory/memory_manager.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <mutex>

#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/memory/gpu_pools.hpp"
#include "gantry/memory/host_pool.hpp"

namespace gantry {
namespace {

std::size_t total_bytes(const std::vector<memory::SizeClass>& classes) {
  std::size_t total = 0;
  for (const auto& size_class : classes) total += size_class.block_bytes * size_class.blocks;
  return total;
}

const char* name_of(MemorySpace space) {
  switch (space) {
    case MemorySpace::kDevice:
      return "device";
    case MemorySpace::kPinned:
      return "pinned";
    case MemorySpace::kHost:
      break;
  }
  return "host";
}

}  // namespace

TensorDescriptor::TensorDescriptor(std::initializer_list<std::int64_t> shape, DataType data_type,
                                   MemorySpace memory_space)
    : rank(shape.size()), type(data_type), space(memory_space) {
  GANTRY_EXPECTS(rank <= kMaxRank, "a tensor has at most 8 dimensions");
  GANTRY_EXPECTS(std::all_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim >= 1; }),
                 "every dimension of a tensor is at least 1");
  std::copy(shape.begin(), shape.end(), dims.begin());
}

std::size_t TensorDescriptor::bytes() const {
  std::size_t total = bytes_of(type);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto dim = static_cast<std::size_t>(dims[i]);
    GANTRY_EXPECTS(total <= std::numeric_limits<std::size_t>::max() / dim, "a tensor of that shape fits no memory");
    total *= dim;
  }
  return total;
}

/// Streams of one priority.
struct MemoryManager::Streams {
  std::vector<void*> all, free;
  StreamStats stats;
};

struct MemoryManager::Impl {
  Impl(std::shared_ptr<memory::Gpu> card, const MemoryOptions& options)
      : gpu(std::move(card)), budget(gpu ? limit(*gpu, options.fraction) : 0) {
    GANTRY_EXPECTS(options.fraction > 0 && options.fraction <= 1, "the memory fraction lies above 0 and up to 1");
    GANTRY_EXPECTS(options.streams >= 1 && options.streams <= 8, "a device has 1 to 8 streams");
    GANTRY_EXPECTS(options.high_priority_streams >= 0 && options.high_priority_streams <= 8,
                   "a device has up to 8 streams of high priority");
    GANTRY_EXPECTS(gpu != nullptr || (options.device.empty() && options.pinned.empty()),
                   "device and pinned pools need a card");
    if (!options.host.empty()) host = std::make_unique<memory::HostPool>(options.host);
    if (!gpu) return;
    if (!options.device.empty()) make_device_pool(options);
    if (!options.pinned.empty()) pinned = std::make_unique<memory::PinnedPool>(gpu, options.pinned);
    try {
      make_streams(normal, options.streams, false);
      make_streams(high, options.high_priority_streams, true);
    } catch (...) {
      destroy_streams();
      throw;
    }
  }
  ~Impl() {
    device.reset();  // its blocks may wait for a stream
    pinned.reset();
    destroy_streams();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// The fraction of the whole card, as far as others have left it free.
  static std::size_t limit(const memory::Gpu& gpu, double fraction) {
    const auto memory = gpu.memory();
    return std::min(static_cast<std::size_t>(static_cast<double>(memory.total_bytes) * fraction), memory.free_bytes);
  }

  void make_device_pool(const MemoryOptions& options) {
    const std::size_t bytes = total_bytes(options.device);
    auto reservation = budget.reserve(bytes);
    if (!reservation)
      throw DeviceError("GPU " + std::to_string(gpu->index()) + ": the pools need " + std::to_string(bytes >> 20) +
                        " MiB and may take " + std::to_string(budget.stats().limit_bytes >> 20) +
                        " MiB: lower the number of cameras or the batch size, or raise the memory fraction");
    device_share = std::move(*reservation);
    device = std::make_unique<memory::DevicePool>(gpu, options.device);
  }
  void make_streams(Streams& streams, int count, bool high_priority) {
    for (int i = 0; i < count; ++i) streams.all.push_back(gpu->make_stream(high_priority));
    streams.free = streams.all;
    streams.stats.streams = count;
  }
  void destroy_streams() noexcept {
    for (const Streams* streams : {&normal, &high})
      for (void* stream : streams->all) gpu->destroy_stream(stream);
  }

  /// Null where none is free.
  void* take(Streams& streams) noexcept {
    const std::lock_guard lock(mutex);
    if (streams.free.empty()) {
      ++streams.stats.exhausted;
      return nullptr;
    }
    void* stream = streams.free.back();
    streams.free.pop_back();
    ++streams.stats.leases;
    ++streams.stats.in_use;
    streams.stats.high_water = std::max(streams.stats.high_water, streams.stats.in_use);
    return stream;
  }
  void give_back(Streams& streams, void* stream) noexcept {
    const std::lock_guard lock(mutex);
    streams.free.push_back(stream);
    --streams.stats.in_use;
  }
  StreamStats read(const Streams& streams) const {
    const std::lock_guard lock(mutex);
    return streams.stats;
  }

  [[nodiscard]] memory::SlabPool* pool(MemorySpace space) const noexcept {
    switch (space) {
      case MemorySpace::kDevice:
        return device.get();
      case MemorySpace::kPinned:
        return pinned.get();
      case MemorySpace::kHost:
        break;
    }
    return host.get();
  }

  const std::shared_ptr<memory::Gpu> gpu;
  memory::MemoryBudget budget;
  memory::MemoryBudget::Reservation device_share;
  std::unique_ptr<memory::SlabPool> device, pinned, host;
  mutable std::mutex mutex;
  Streams normal, high;
};

MemoryManager::MemoryManager(std::shared_ptr<memory::Gpu> gpu, const MemoryOptions& options)
    : impl_(std::make_unique<Impl>(std::move(gpu), options)) {}
MemoryManager::~MemoryManager() = default;

Result<MemoryManager::Context> MemoryManager::context(bool high_priority) noexcept {
  if (!impl_->gpu) return Context{this, nullptr, nullptr};
  if (high_priority)
    if (void* stream = impl_->take(impl_->high)) return Context{this, &impl_->high, stream};
  if (void* stream = impl_->take(impl_->normal)) return Context{this, &impl_->normal, stream};
  return fail(ErrorCode::kExhausted, "no stream free");
}

Result<memory::Lease> MemoryManager::tensor(const TensorDescriptor& descriptor) noexcept {
  memory::SlabPool* pool = impl_->pool(descriptor.space);
  if (pool == nullptr) return fail(ErrorCode::kInvalid, "no such pool");
  return pool->lease(descriptor.bytes());
}

memory::MemoryBudget& MemoryManager::budget() noexcept {
  return impl_->budget;
}

MemoryStats MemoryManager::stats() const {
  MemoryStats stats;
  stats.device = impl_->gpu ? "cuda:" + std::to_string(impl_->gpu->index()) + " (" + impl_->gpu->name() + ")" : "cpu";
  stats.budget = impl_->budget.stats();
  for (const MemorySpace space : {MemorySpace::kDevice, MemorySpace::kPinned, MemorySpace::kHost})
    if (const memory::SlabPool* pool = impl_->pool(space)) stats.pools.push_back({space, pool->stats()});
  stats.normal = impl_->read(impl_->normal);
  stats.high_priority = impl_->read(impl_->high);
  return stats;
}

MemoryManager::Context::~Context() {
  if (manager_ != nullptr && streams_ != nullptr) manager_->impl_->give_back(*streams_, stream_);
}
int MemoryManager::Context::device() const noexcept {
  return manager_->impl_->gpu ? manager_->impl_->gpu->index() : -1;
}
Result<memory::Lease> MemoryManager::Context::tensor(const TensorDescriptor& descriptor) noexcept {
  memory::SlabPool* pool = manager_->impl_->pool(descriptor.space);
  if (pool == nullptr) return fail(ErrorCode::kInvalid, "no such pool");
  return descriptor.space == MemorySpace::kHost ? pool->lease(descriptor.bytes())
                                                : pool->lease(descriptor.bytes(), stream_);
}

std::string format_table(const MemoryStats& stats) {
  std::string table = stats.device + "\n";
  const auto line = [&table](auto... values) {
    std::array<char, 160> text{};
    const int length = std::snprintf(text.data(), text.size(), values...);
    table.append(text.data(), static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(text.size()) - 1)));
  };
  line("%-8s %12s %8s %8s %10s %8s %12s %10s\n", "pool", "block, KiB", "blocks", "in use", "returning", "most",
       "leases", "exhausted");
  for (const PoolStats& pool : stats.pools)
    for (const auto& c : pool.classes)
      line("%-8s %12.1f %8zu %8zu %10zu %8zu %12llu %10llu\n", name_of(pool.space),
           static_cast<double>(c.block_bytes) / 1024, c.blocks, c.in_use, c.returning, c.high_water,
           static_cast<unsigned long long>(c.leases), static_cast<unsigned long long>(c.exhausted));
  const auto streams = [&](const char* name, const StreamStats& s) {
    line("%-8s %12s %8d %8d %10s %8d %12llu %10llu\n", name, "", s.streams, s.in_use, "", s.high_water,
         static_cast<unsigned long long>(s.leases), static_cast<unsigned long long>(s.exhausted));
  };
  if (stats.normal.streams > 0) streams("streams", stats.normal);
  if (stats.high_priority.streams > 0) streams("urgent", stats.high_priority);
  if (stats.budget.limit_bytes > 0)
    line("budget: %zu of %zu MiB reserved, at most %zu, %llu refused\n", stats.budget.reserved_bytes >> 20,
         stats.budget.limit_bytes >> 20, stats.budget.high_water_bytes >> 20,
         static_cast<unsigned long long>(stats.budget.refused));
  return table;
}

}  // namespace gantry
