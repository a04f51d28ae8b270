#include "media/picture_assembler.hpp"

#include <algorithm>

namespace gantry::media {
namespace {

constexpr std::size_t kStartCode = 4;  ///< 0 0 0 1
/// Pieces of one packet size differ by what stands in front of them: a header of one byte or two, a start code for each
/// of a few parameter sets.
constexpr std::size_t kHeaders = 64;
/// Nobody cuts a slice into packets smaller than this.
constexpr std::size_t kSmallestFragment = 256;

bool starts_unit(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return at + kStartCode < bytes.size() && bytes[at] == 0 && bytes[at + 1] == 0 && bytes[at + 2] == 0 &&
         bytes[at + 3] == 1;
}

bool is_slice(bool hevc, std::uint8_t header) noexcept {
  const int type = hevc ? header >> 1 & 63 : header & 31;
  return hevc ? type < 32 : type >= 1 && type <= 5;
}

}  // namespace

bool PictureAssembler::looks_whole(std::span<const std::uint8_t> piece) {
  if (!starts_unit(piece, 0)) return in_slice_ && piece.size() < fragment_bytes_ && slices_ == slices_expected_;
  for (std::size_t at = 0; at < piece.size(); ++at) {
    if (!starts_unit(piece, at)) continue;
    in_slice_ = is_slice(hevc_, piece[at + kStartCode]);
    slices_ += in_slice_ ? 1 : 0;
  }
  const std::size_t in_front = kStartCode + (hevc_ ? 2 : 1);  // the unit's header is made anew
  fragment_bytes_ = piece.size() - std::min(piece.size(), in_front);
  const bool may_be_first_fragment = piece.size() >= kSmallestFragment && piece.size() + kHeaders >= largest_;
  largest_ = std::max(largest_, piece.size());
  return in_slice_ && !may_be_first_fragment && slices_ == slices_expected_;
}

bool PictureAssembler::add(std::span<const std::uint8_t> piece, std::int64_t timestamp) {
  if (taken_) {
    bytes_.clear();
    taken_ = false;
    if (timestamp == timestamp_) {  // the rest of a picture that was handed out as whole
      ++mistakes_;
      clean_ = 0;
    }
  }
  if (bytes_.empty()) {
    timestamp_ = timestamp;
    slices_ = ends_seen_ = 0;
    in_slice_ = false;
  }
  bytes_.insert(bytes_.end(), piece.begin(), piece.end());
  looks_whole_ = looks_whole(piece);
  ends_seen_ += looks_whole_ ? 1 : 0;
  return looks_whole_ && trusted();
}

void PictureAssembler::learn() {
  const bool too_early = ends_seen_ > (looks_whole_ ? 1 : 0);
  clean_ = too_early || slices_ != slices_expected_ ? 0 : clean_ + 1;
  slices_expected_ = slices_;
}

std::span<const std::uint8_t> PictureAssembler::take() {
  if (taken_ || bytes_.empty()) return {};
  taken_ = true;
  if (slices_ > 0) learn();  // parameter sets may travel with a time stamp of their own
  return bytes_;
}

}  // namespace gantry::media
