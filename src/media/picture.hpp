#pragma once
// Still pictures from bytes to BGR pixels. Internal to the room.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gantry/core/result.hpp"
#include "media/av.hpp"
#include "media/convert.hpp"
#include "media/picture_pool.hpp"

namespace gantry::media {

/// JPEG through libjpeg-turbo with its default decode (accurate integer DCT, smooth chroma), so that the pixels are
/// those of cv2.imread; PNG, BMP, WebP, TIFF and PNM through FFmpeg. EXIF orientation is honoured, as cv2.imread does.
/// Owned and used by one thread.
class PictureReader {
 public:
  /// AVFrame sizes are limited by the bytes of a plane, which must fit an int.
  static constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

  explicit PictureReader(std::int64_t most_pixels = kMostPixels);
  ~PictureReader();
  PictureReader(const PictureReader&) = delete;
  PictureReader& operator=(const PictureReader&) = delete;

  /// A BGR24 picture on loan. `name` stands in front of the error's message.
  [[nodiscard]] Result<PictureLoan> read(std::span<const std::uint8_t> bytes, const std::string& name);

 private:
  Result<PictureLoan> read_jpeg(std::span<const std::uint8_t> bytes, const std::string& name);
  Result<PictureLoan> read_other(std::span<const std::uint8_t> bytes, const std::string& name);
  [[nodiscard]] Unexpected<Error> too_large(const std::string& name, int width, int height) const;

  const std::int64_t most_pixels_;
  void* turbo_ = nullptr;  ///< tjhandle
  PicturePool pool_;
  PicturePool turned_;
  std::vector<std::uint8_t> cmyk_;
  Converter convert_;
};

/// EXIF orientation (1…8) of a JPEG or PNG, 1 where there is none or it can't be read.
[[nodiscard]] int exif_orientation(std::span<const std::uint8_t> file) noexcept;
/// @pre 1 <= exif <= 8
[[nodiscard]] Orientation orientation_of_exif(int exif) noexcept;

}  // namespace gantry::media
