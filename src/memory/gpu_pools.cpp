#include "gantry/memory/gpu_pools.hpp"

#include <string>

#include "gantry/core/errors.hpp"

namespace gantry::memory {
namespace {

class DeviceMemory final : public SlabMemory {
 public:
  explicit DeviceMemory(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {}
  std::uint8_t* allocate(std::size_t bytes) override {
    std::uint8_t* slab = gpu_->allocate_device(bytes);
    if (slab == nullptr)
      throw DeviceError("GPU " + std::to_string(gpu_->index()) + " has not enough memory left for a pool of " +
                        std::to_string(bytes >> 20) + " MiB (" + std::to_string(gpu_->memory().free_bytes >> 20) +
                        " MiB are free): lower the number of cameras or the batch size");
    return slab;
  }
  void release(std::uint8_t* slab) noexcept override { gpu_->free_device(slab); }
  [[nodiscard]] MemorySpace space() const noexcept override { return MemorySpace::kDevice; }

 private:
  std::shared_ptr<Gpu> gpu_;
};

class PinnedMemory final : public SlabMemory {
 public:
  explicit PinnedMemory(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {}
  std::uint8_t* allocate(std::size_t bytes) override {
    std::uint8_t* slab = gpu_->allocate_pinned(bytes);
    if (slab == nullptr)
      throw DeviceError("this machine can't lock " + std::to_string(bytes >> 20) +
                        " MiB of host memory for uploads: lower the number of cameras, or raise `ulimit -l`");
    return slab;
  }
  void release(std::uint8_t* slab) noexcept override { gpu_->free_pinned(slab); }
  [[nodiscard]] MemorySpace space() const noexcept override { return MemorySpace::kPinned; }

 private:
  std::shared_ptr<Gpu> gpu_;
};

}  // namespace

DevicePool::DevicePool(std::shared_ptr<Gpu> gpu, std::span<const SizeClass> classes)
    : SlabPool(std::make_unique<DeviceMemory>(gpu), classes, gpu.get()) {}
PinnedPool::PinnedPool(std::shared_ptr<Gpu> gpu, std::span<const SizeClass> classes)
    : SlabPool(std::make_unique<PinnedMemory>(gpu), classes, gpu.get()) {}

}  // namespace gantry::memory
