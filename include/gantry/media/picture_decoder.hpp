#pragma once
// Coded still pictures (JPEG, PNG, …) that came from somewhere else than a file, to pixels.
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"
#include "gantry/core/storage.hpp"

namespace gantry::media {

struct DecodedPicture {
  Image image;        ///< BGR24 in host memory; view into `pixels`
  StorageRef pixels;  ///< may outlive the decoder
};

/// The same pixels as a camera's pictures from a folder: EXIF orientation is honoured. Owned and used by one thread.
class PictureDecoder {
 public:
  /// @param most_pixels larger pictures are refused before anything is allocated for them
  explicit PictureDecoder(std::int64_t most_pixels);
  ~PictureDecoder();
  PictureDecoder(const PictureDecoder&) = delete;
  PictureDecoder& operator=(const PictureDecoder&) = delete;

  /// kCorrupt or kUnsupported. @param name stands in front of the error's message
  [[nodiscard]] Result<DecodedPicture> decode(std::span<const std::uint8_t> bytes, const std::string& name);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::media
