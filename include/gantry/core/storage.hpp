#pragma once
// Who owns pixels. A Storage is a counted block (a pool's block, a decoder's picture, an NVDEC surface); StorageRef is
// the handle. The last handle to go gives the block back to where it came from; nothing is allocated or freed on the
// way.
#include <atomic>
#include <utility>

namespace gantry {

class Storage {
 public:
  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

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
