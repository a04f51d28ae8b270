#pragma once
// Pictures on loan from the media room: each is an AVFrame inside a Storage. The pool grows to the number in flight and
// then allocates nothing more. Internal to the room.
//
// Thread-safe. Loans may outlive the pool object; the last one to come back takes the memory with it.
#include <memory>

#include "gantry/core/image.hpp"
#include "gantry/core/storage.hpp"
#include "media/av.hpp"

namespace gantry::media {

/// A borrowed AVFrame, the borrower's alone until `owner` is shared. Empty where it could not be had.
struct PictureLoan {
  AVFrame* frame = nullptr;
  StorageRef owner;
  explicit operator bool() const noexcept { return frame != nullptr; }
};

class PicturePool {
 public:
  PicturePool();
  ~PicturePool();
  PicturePool(const PicturePool&) = delete;
  PicturePool& operator=(const PicturePool&) = delete;

  /// Takes a decoder's picture over; its buffers go back to FFmpeg when the loan ends. `from` is empty then.
  [[nodiscard]] PictureLoan take_over(AVFrame& from);
  /// An AVFrame with buffers of its own of that format and size, writable. Empty where memory has run out or the size
  /// is not possible.
  [[nodiscard]] PictureLoan borrow(AVPixelFormat format, int width, int height);

  struct Shelf;

 private:
  class Picture;
  std::shared_ptr<Shelf> shelf_;
};

/// Describes an AVFrame in a format that Gantry has (NV12, I420, BGR24, RGB24). False where it has no such format.
[[nodiscard]] bool describe(const AVFrame& frame, Image& image) noexcept;

}  // namespace gantry::media
