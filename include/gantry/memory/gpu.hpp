#pragma once
// One GPU as pools, decoders and streams see it: memory, streams and marks on them, over the CUDA driver that is loaded
// at run time, so that one program runs on machines with and without a card. FakeGpu (fake_gpu.hpp) stands in for it in
// tests.
//
// Owner: whoever opened it, shared with everything that was made from it. Thread-safe: every call makes the card's
// primary context current on the calling thread for as long as it needs it; the CUDA runtime uses the same context.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"

namespace gantry::memory {

/// A CUstream. Null is the card's default stream.
using GpuStream = void*;
/// A CUevent: a point on a stream.
using GpuMark = void*;

struct GpuMemory {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  /// Bytes that may still be taken while all programs together use at most `fraction` of the card.
  [[nodiscard]] std::size_t left_within(double fraction) const noexcept {
    const auto allowed = static_cast<std::size_t>(static_cast<double>(total_bytes) * fraction);
    const std::size_t taken = total_bytes - free_bytes;
    return allowed > taken ? allowed - taken : 0;
  }
};

class Gpu {
 public:
  virtual ~Gpu() = default;
  [[nodiscard]] virtual int index() const noexcept = 0;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  /// Of the whole card, other programs' share included; zeros where the card has failed.
  [[nodiscard]] virtual GpuMemory memory() const noexcept = 0;

  /// Makes the primary context current on this thread until the next leave(). Calls may nest. For libraries that work
  /// on the current context (nvcuvid); everything in this class does so by itself.
  virtual void enter() noexcept = 0;
  virtual void leave() noexcept = 0;

  /// Aligned to 256 bytes. Null where the card has not enough left or has failed.
  [[nodiscard]] virtual std::uint8_t* allocate_device(std::size_t bytes) noexcept = 0;
  virtual void free_device(std::uint8_t* memory) noexcept = 0;
  /// Page-locked host memory that the card reads at full speed. Null where there is not enough.
  [[nodiscard]] virtual std::uint8_t* allocate_pinned(std::size_t bytes) noexcept = 0;
  virtual void free_pinned(std::uint8_t* memory) noexcept = 0;

  /// @throws DeviceError
  [[nodiscard]] virtual GpuStream make_stream(bool high_priority) = 0;
  virtual void destroy_stream(GpuStream stream) noexcept = 0;
  /// kDevice where work on it has failed.
  [[nodiscard]] virtual Result<void> synchronise(GpuStream stream) noexcept = 0;

  /// @throws DeviceError
  [[nodiscard]] virtual GpuMark make_mark() = 0;
  virtual void destroy_mark(GpuMark mark) noexcept = 0;
  /// Sets the mark behind everything that is on the stream now. False where the card has failed.
  virtual bool record(GpuMark mark, GpuStream stream) noexcept = 0;
  /// True once the stream has passed the mark, and where the card has failed: nothing runs there any more.
  [[nodiscard]] virtual bool passed(GpuMark mark) noexcept = 0;
  /// What comes onto `stream` from now on waits for the mark; the host does not. False where the card has failed.
  virtual bool follow(GpuStream stream, GpuMark mark) noexcept = 0;

  /// `rows` rows of `row_bytes` from the card into host memory; returns when they are there. kDevice.
  [[nodiscard]] virtual Result<void> download(std::uint8_t* to, std::size_t to_stride, const std::uint8_t* from,
                                              std::size_t from_stride, std::size_t row_bytes, std::size_t rows,
                                              GpuStream stream) noexcept = 0;
};

/// Current context of this thread for as long as it lives.
class GpuScope {
 public:
  explicit GpuScope(Gpu& gpu) noexcept : gpu_(gpu) { gpu_.enter(); }
  ~GpuScope() { gpu_.leave(); }
  GpuScope(const GpuScope&) = delete;
  GpuScope& operator=(const GpuScope&) = delete;

 private:
  Gpu& gpu_;
};

/// The card with that index, through libcuda.so.1.
/// @throws DeviceError where there is no driver or no such card: what was looked for and what to do
[[nodiscard]] std::shared_ptr<Gpu> open_gpu(int index);

}  // namespace gantry::memory
