#pragma once
// Who owns pixels. A Storage is a counted block (a pool's block, a decoder's picture, an NVDEC surface); StorageRef is
// the handle. The last handle to go gives the block back to where it came from; nothing is allocated or freed on the
// way.
#include <atomic>
#include <cstdint>
#include <utility>

#include "gantry/core/result.hpp"

namespace gantry {

struct Image;

class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// Makes the pixels readable for work that comes onto `stream` (of the card where they lie) from now on, and points
  /// `image` at them. Decoders on a card fetch a picture only here, when somebody is about to run it. By default there
  /// is nothing to do. May be called again; one call at a time.
  /// kExhausted where the picture was given up for a newer one of its camera; kCorrupt, kDevice.
  virtual Result<void> map([[maybe_unused]] Image& image, [[maybe_unused]] void* stream) { return {}; }
  /// Pixels on a card as dense NV12 in host memory: width * height * 3 / 2 bytes, sides rounded up to even. Blocks.
  /// kUnsupported where they do not lie on a card; otherwise as map().
  virtual Result<void> download([[maybe_unused]] std::uint8_t* nv12) {
    return fail(ErrorCode::kUnsupported, "not on a card");
  }

 protected:
  virtual ~Storage() = default;
  /// Called once when the last reference goes, on whatever thread that is. Gives the block back; must not throw.
  virtual void recycle() noexcept = 0;

 private:
  friend class StorageRef;
  std::atomic<int> references_{0};
};

/// Copyable, thread-safe count like std::shared_ptr, without its control block. An empty handle owns nothing.
class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* storage) noexcept : storage_(storage) { retain(); }
  StorageRef(const StorageRef& other) noexcept : storage_(other.storage_) { retain(); }
  StorageRef(StorageRef&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef() { release(); }

  void reset() noexcept {
    release();
    storage_ = nullptr;
  }
  [[nodiscard]] Storage* get() const noexcept { return storage_; }
  explicit operator bool() const noexcept { return storage_ != nullptr; }

 private:
  void retain() noexcept {
    if (storage_ != nullptr) storage_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  void release() noexcept {
    if (storage_ != nullptr && storage_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) storage_->recycle();
  }
  Storage* storage_ = nullptr;
};

}  // namespace gantry
