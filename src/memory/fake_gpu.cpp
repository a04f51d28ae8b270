#include "gantry/memory/fake_gpu.hpp"

#include <cstring>
#include <new>
#include <numeric>

#include "gantry/core/expects.hpp"
#include "gantry/memory/pool.hpp"

namespace gantry::memory {
namespace {

thread_local int depth = 0;  ///< enter() calls of this thread

std::size_t sum(const std::map<std::uint8_t*, std::size_t>& blocks) {
  return std::accumulate(blocks.begin(), blocks.end(), std::size_t{0},
                         [](std::size_t total, const auto& block) { return total + block.second; });
}

void release(std::uint8_t* memory) noexcept {
  ::operator delete (memory, std::align_val_t{Pool::kAlignmentBytes});
}

}  // namespace

FakeGpu::FakeGpu(std::size_t total_bytes, int index) : index_(index), total_bytes_(total_bytes) {}

FakeGpu::~FakeGpu() {
  for (const auto& [memory, bytes] : device_) release(memory);
  for (const auto& [memory, bytes] : pinned_) release(memory);
}

void FakeGpu::hold_streams(bool hold) {
  const std::lock_guard lock(mutex_);
  hold_ = hold;
}

void FakeGpu::advance(GpuStream stream) {
  const std::lock_guard lock(mutex_);
  for (const auto& [handle, mark] : marks_)
    if (mark->stream == stream) mark->pending = false;
}

std::size_t FakeGpu::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return sum(device_);
}
std::size_t FakeGpu::pinned_bytes() const {
  const std::lock_guard lock(mutex_);
  return sum(pinned_);
}
int FakeGpu::streams() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(streams_.size());
}
int FakeGpu::marks() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(marks_.size());
}
int FakeGpu::waits() const {
  const std::lock_guard lock(mutex_);
  return waits_;
}
bool FakeGpu::is_high_priority(GpuStream stream) const {
  const std::lock_guard lock(mutex_);
  return streams_.at(stream)->high_priority;
}
bool FakeGpu::entered() noexcept {
  return depth > 0;
}

GpuMemory FakeGpu::memory() const noexcept {
  const std::lock_guard lock(mutex_);
  return {total_bytes_ - sum(device_), total_bytes_};
}
void FakeGpu::enter() noexcept {
  ++depth;
}
void FakeGpu::leave() noexcept {
  --depth;
}

std::uint8_t* FakeGpu::allocate(std::map<std::uint8_t*, std::size_t>& blocks, std::size_t bytes) noexcept {
  void* memory = ::operator new (bytes, std::align_val_t{Pool::kAlignmentBytes}, std::nothrow);
  if (memory == nullptr) return nullptr;
  std::memset(memory, 0, bytes);
  return blocks.emplace(static_cast<std::uint8_t*>(memory), bytes).first->first;
}

std::uint8_t* FakeGpu::allocate_device(std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  return sum(device_) + bytes > total_bytes_ ? nullptr : allocate(device_, bytes);
}
void FakeGpu::free_device(std::uint8_t* memory) noexcept {
  const std::lock_guard lock(mutex_);
  if (device_.erase(memory) == 1) release(memory);
}
std::uint8_t* FakeGpu::allocate_pinned(std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  return allocate(pinned_, bytes);
}
void FakeGpu::free_pinned(std::uint8_t* memory) noexcept {
  const std::lock_guard lock(mutex_);
  if (pinned_.erase(memory) == 1) release(memory);
}

GpuStream FakeGpu::make_stream(bool high_priority) {
  const std::lock_guard lock(mutex_);
  auto stream = std::make_unique<Stream>(Stream{high_priority});
  const GpuStream handle = stream.get();
  streams_.emplace(handle, std::move(stream));
  return handle;
}
void FakeGpu::destroy_stream(GpuStream stream) noexcept {
  const std::lock_guard lock(mutex_);
  streams_.erase(stream);
}
Result<void> FakeGpu::synchronise(GpuStream stream) noexcept {
  advance(stream);
  return {};
}

GpuMark FakeGpu::make_mark() {
  const std::lock_guard lock(mutex_);
  auto mark = std::make_unique<Mark>();
  const GpuMark handle = mark.get();
  marks_.emplace(handle, std::move(mark));
  return handle;
}
void FakeGpu::destroy_mark(GpuMark mark) noexcept {
  const std::lock_guard lock(mutex_);
  marks_.erase(mark);
}
bool FakeGpu::record(GpuMark mark, GpuStream stream) noexcept {
  const std::lock_guard lock(mutex_);
  *static_cast<Mark*>(mark) = {stream, hold_};
  return true;
}
bool FakeGpu::passed(GpuMark mark) noexcept {
  const std::lock_guard lock(mutex_);
  return !static_cast<Mark*>(mark)->pending;
}
bool FakeGpu::follow(GpuStream stream, GpuMark mark) noexcept {
  const std::lock_guard lock(mutex_);
  const Mark& on = *static_cast<Mark*>(mark);
  if (on.pending && on.stream != stream) ++waits_;
  return true;
}

Result<void> FakeGpu::download(std::uint8_t* to, std::size_t to_stride, const std::uint8_t* from,
                               std::size_t from_stride, std::size_t row_bytes, std::size_t rows, GpuStream) noexcept {
  for (std::size_t row = 0; row < rows; ++row) std::memcpy(to + row * to_stride, from + row * from_stride, row_bytes);
  return {};
}

}  // namespace gantry::memory
