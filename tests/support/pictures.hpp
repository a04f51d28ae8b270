#pragma once
// Pictures for tests: from JPEG files, drawn, and with the pixels held by the Frame like in production.
#include <cstdint>
#include <filesystem>
#include <vector>

#include "gantry/core/frame.hpp"

namespace gantry::test {

/// A picture and its pixels.
struct Picture {
  int width = 0, height = 0;
  PixelFormat format = PixelFormat::kBgr24;
  ColorMatrix matrix = ColorMatrix::kBt601;
  ColorRange range = ColorRange::kLimited;
  int extra_stride = 0;             ///< bytes from a row's end to the next row's start
  std::vector<std::uint8_t> bytes;  ///< planes one behind the other
  [[nodiscard]] Image view() const;
};

/// Decoded by libjpeg-turbo, B, G, R.
Picture read_jpeg(const std::filesystem::path& file);

/// Noise over slow gradients, the same for the same seed.
Picture noise_picture(int width, int height, PixelFormat format, unsigned seed, int extra_stride = 0);

/// A frame that owns a copy of the picture.
Frame frame_of(const Picture& picture);

}  // namespace gantry::test
