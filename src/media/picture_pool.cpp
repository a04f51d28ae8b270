#include "media/picture_pool.hpp"

extern "C" {
#include <libavutil/imgutils.h>
}

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "gantry/media/pools.hpp"

namespace gantry::media {

class PicturePool::Picture final : public Storage {
 public:
  AvPtr<AVFrame> frame{av_frame_alloc()};
  std::shared_ptr<Shelf> shelf;  ///< set while on loan
  bool keeps_buffers = false;

 private:
  void recycle() noexcept override;
};

struct PicturePool::Shelf {
  std::mutex mutex;
  std::vector<std::unique_ptr<Picture>> all;
  std::vector<Picture*> empty;   ///< free, without buffers
  std::vector<Picture*> filled;  ///< free, with buffers of their own
  memory::SizeClassStats stats;  ///< block_bytes of the newest picture

  void lent(int bytes) {
    stats.block_bytes = static_cast<std::size_t>(std::max(0, bytes));
    stats.blocks = all.size();
    stats.high_water = std::max(stats.high_water, ++stats.in_use);
    ++stats.leases;
  }

  /// A free picture without buffers. @pre mutex is held
  Picture* take_empty() {
    if (empty.empty()) {
      auto picture = std::make_unique<Picture>();
      if (picture->frame == nullptr) return nullptr;
      all.push_back(std::move(picture));
      empty.reserve(all.size());  // so that recycle() never allocates
      filled.reserve(all.size());
      return all.back().get();
    }
    Picture* picture = empty.back();
    empty.pop_back();
    return picture;
  }
};

namespace {

/// Every shelf that is alive, so that a scrape can count what all cameras hold without any frame's paying for it.
struct Shelves {
  std::mutex mutex;
  std::vector<std::weak_ptr<PicturePool::Shelf>> all;
};
Shelves& shelves() {
  static Shelves one;
  return one;
}

int bytes_of(const AVFrame& frame) {
  return av_image_get_buffer_size(static_cast<AVPixelFormat>(frame.format), frame.width, frame.height, 1);
}

}  // namespace

PicturePool::PicturePool() : shelf_(std::make_shared<Shelf>()) {
  const std::lock_guard lock(shelves().mutex);
  std::erase_if(shelves().all, [](const auto& shelf) { return shelf.expired(); });
  shelves().all.push_back(shelf_);
}
PicturePool::~PicturePool() = default;

memory::PoolReading picture_pools() {
  std::map<std::size_t, memory::SizeClassStats> sizes;
  const std::lock_guard all(shelves().mutex);
  for (const auto& weak : shelves().all) {
    const auto shelf = weak.lock();
    if (!shelf) continue;
    memory::SizeClassStats one;
    {
      const std::lock_guard lock(shelf->mutex);
      one = shelf->stats;
    }
    if (one.leases == 0 && one.exhausted == 0) continue;
    auto& sum = sizes[one.block_bytes];
    sum.block_bytes = one.block_bytes;
    sum.blocks += one.blocks;
    sum.in_use += one.in_use;
    sum.high_water += one.high_water;
    sum.leases += one.leases;
    sum.exhausted += one.exhausted;
  }
  memory::PoolReading reading{"pictures", {}};
  for (const auto& [bytes, stats] : sizes) reading.classes.push_back(stats);
  return reading;
}

void PicturePool::Picture::recycle() noexcept {
  // The shelf may go with its last picture, so it is held here until the lock is off.
  const std::shared_ptr<Shelf> home = std::move(shelf);
  if (!keeps_buffers) av_frame_unref(frame.get());
  const std::lock_guard lock(home->mutex);
  --home->stats.in_use;
  (keeps_buffers ? home->filled : home->empty).push_back(this);
}

PictureLoan PicturePool::take_over(AVFrame& from) {
  const std::lock_guard lock(shelf_->mutex);
  Picture* picture = shelf_->take_empty();
  if (picture == nullptr) {
    ++shelf_->stats.exhausted;
    return {};
  }
  av_frame_move_ref(picture->frame.get(), &from);
  shelf_->lent(bytes_of(*picture->frame));
  picture->keeps_buffers = false;
  picture->shelf = shelf_;
  return {picture->frame.get(), StorageRef(picture)};
}

PictureLoan PicturePool::borrow(AVPixelFormat format, int width, int height) {
  const std::lock_guard lock(shelf_->mutex);
  while (!shelf_->filled.empty()) {
    Picture* picture = shelf_->filled.back();
    shelf_->filled.pop_back();
    AVFrame* frame = picture->frame.get();
    if (frame->format == format && frame->width == width && frame->height == height) {
      shelf_->lent(bytes_of(*frame));
      picture->shelf = shelf_;
      return {frame, StorageRef(picture)};
    }
    av_frame_unref(frame);  // of a size that is no longer wanted
    shelf_->empty.push_back(picture);
  }
  Picture* picture = shelf_->take_empty();
  if (picture == nullptr) {
    ++shelf_->stats.exhausted;
    return {};
  }
  AVFrame* frame = picture->frame.get();
  frame->format = format;
  frame->width = width;
  frame->height = height;
  if (av_frame_get_buffer(frame, 0) < 0) {
    av_frame_unref(frame);
    shelf_->empty.push_back(picture);
    ++shelf_->stats.exhausted;
    return {};
  }
  shelf_->lent(bytes_of(*frame));
  picture->keeps_buffers = true;
  picture->shelf = shelf_;
  return {frame, StorageRef(picture)};
}

bool describe(const AVFrame& frame, Image& image) noexcept {
  int planes = 0;
  switch (frame.format) {
    case AV_PIX_FMT_YUV420P:
    case AV_PIX_FMT_YUVJ420P:
      image.format = PixelFormat::kI420;
      planes = 3;
      break;
    case AV_PIX_FMT_NV12:
      image.format = PixelFormat::kNv12;
      planes = 2;
      break;
    case AV_PIX_FMT_BGR24:
      image.format = PixelFormat::kBgr24;
      planes = 1;
      break;
    case AV_PIX_FMT_RGB24:
      image.format = PixelFormat::kRgb24;
      planes = 1;
      break;
    default:
      return false;
  }
  image.width = frame.width;
  image.height = frame.height;
  const bool rgb = planes == 1;
  image.matrix = rgb ? ColorMatrix::kBt601 : matrix_of(frame.colorspace);
  image.range = rgb ? ColorRange::kLimited : range_of(frame.color_range, static_cast<AVPixelFormat>(frame.format));
  image.space = MemorySpace::kHost;
  image.device = -1;
  image.planes = {};
  for (int i = 0; i < planes; ++i) image.planes[i] = {frame.data[i], frame.linesize[i]};
  return true;
}

}  // namespace gantry::media
