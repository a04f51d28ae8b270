#include <cstring>

#include "media/picture.hpp"

namespace gantry::media {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint32_t number(Bytes bytes, std::size_t at, int count, bool little) noexcept {
  std::uint32_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[little ? at + count - 1 - i : at + i];
  return value;
}

/// The first directory of a TIFF structure holds the orientation under tag 0x0112.
int from_tiff(Bytes tiff) noexcept {
  if (tiff.size() < 8) return 1;
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  const std::size_t directory = number(tiff, 4, 4, little);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t entries = number(tiff, directory, 2, little);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return 1;
    if (number(tiff, entry, 2, little) != 0x0112) continue;
    const std::uint32_t value = number(tiff, entry + 8, 2, little);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int from_jpeg(Bytes file) noexcept {
  std::size_t at = 2;
  while (at + 4 <= file.size() && file[at] == 0xFF) {
    const std::uint8_t marker = file[at + 1];
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) return 1;  // pixels begin, or the end
    const std::size_t length = number(file, at + 2, 2, false);
    if (length < 2 || at + 2 + length > file.size()) return 1;
    const Bytes segment = file.subspan(at + 4, length - 2);
    if (marker == 0xE1 && segment.size() > 6 && std::memcmp(segment.data(), "Exif\0", 6) == 0)
      return from_tiff(segment.subspan(6));
    at += 2 + length;
  }
  return 1;
}

int from_png(Bytes file) noexcept {
  std::size_t at = 8;
  while (at + 12 <= file.size()) {
    const std::size_t length = number(file, at, 4, false);
    if (length > file.size() - at - 12) return 1;
    if (std::memcmp(file.data() + at + 4, "eXIf", 4) == 0) return from_tiff(file.subspan(at + 8, length));
    at += 12 + length;
  }
  return 1;
}

}  // namespace

int exif_orientation(Bytes file) noexcept {
  if (file.size() >= 4 && file[0] == 0xFF && file[1] == 0xD8) return from_jpeg(file);
  if (file.size() >= 8 && std::memcmp(file.data(), "\x89PNG", 4) == 0) return from_png(file);
  return 1;
}

Orientation orientation_of_exif(int exif) noexcept {
  static constexpr Orientation kTurns[8] = {{false, 0}, {true, 0},  {false, 2}, {true, 2},
                                            {true, 3},  {false, 1}, {true, 1},  {false, 3}};
  return kTurns[exif - 1];
}

}  // namespace gantry::media
