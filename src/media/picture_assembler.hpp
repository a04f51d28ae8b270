#pragma once
// From the pieces in which H.264 and HEVC travel over RTP back to whole pictures, without waiting for the next one.
// Internal to the room; used by one thread.
//
// RTP marks the last packet of a picture, and FFmpeg's depacketizer drops that mark: its parser knows a picture to be
// whole when the next one begins, one frame interval too late. What ends a picture can be seen all the same. A
// packetizer cuts a slice into fragments of one size, so the one that is shorter is the slice's last, and a stream has
// a number of slices a picture. No standard demands it, so it is watched first: only after kTrustAfter pictures in a
// row whose end would have been seen right are pictures handed out by it. Where it then errs, one picture is damaged
// and the stream is watched anew; a second time it is never trusted again.
#include <cstdint>
#include <span>
#include <vector>

namespace gantry::media {

class PictureAssembler {
 public:
  static constexpr int kTrustAfter = 32;
  static constexpr std::size_t kMostBytes = std::size_t{32} << 20;  ///< a picture; what has more is broken

  explicit PictureAssembler(bool hevc) : hevc_(hevc) {}

  /// False where a piece of that time stamp begins another picture than the one collected: take() that first.
  [[nodiscard]] bool continues(std::int64_t timestamp) const noexcept {
    return taken_ || bytes_.empty() || (timestamp == timestamp_ && bytes_.size() < kMostBytes);
  }
  /// One piece as FFmpeg's depacketizer hands it out: one or more NAL units behind start codes, or a fragment, whose
  /// first has one. True where the picture is whole, as far as can be trusted.
  [[nodiscard]] bool add(std::span<const std::uint8_t> piece, std::int64_t timestamp);
  /// The picture collected, valid until the next add(); empty where there is none. Collecting begins anew.
  [[nodiscard]] std::span<const std::uint8_t> take();

  [[nodiscard]] std::int64_t timestamp() const noexcept { return timestamp_; }
  [[nodiscard]] bool trusted() const noexcept { return clean_ >= kTrustAfter && mistakes_ < 2; }

 private:
  [[nodiscard]] bool looks_whole(std::span<const std::uint8_t> piece);
  void learn();

  const bool hevc_;
  std::vector<std::uint8_t> bytes_;
  bool taken_ = false;  ///< bytes_ was handed out
  std::int64_t timestamp_ = 0;

  // Of the picture being collected.
  int slices_ = 0;
  int ends_seen_ = 0;         ///< pieces behind which it looked whole
  bool looks_whole_ = false;  ///< behind the newest piece
  bool in_slice_ = false;
  std::size_t fragment_bytes_ = 0;  ///< of the slice's first fragment, without what stands in front

  // Of the stream.
  std::size_t largest_ = 0;  ///< piece with a start code: the first fragments are the largest there are
  int slices_expected_ = 0;
  int clean_ = 0;     ///< pictures in a row whose end would not have been seen too early
  int mistakes_ = 0;  ///< pictures handed out too early
};

}  // namespace gantry::media
