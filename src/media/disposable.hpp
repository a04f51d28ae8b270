#pragma once
// Which coded pictures may be left out without anybody missing them. Internal to the room.
#include "media/av.hpp"

namespace gantry::media {

/// Reads NAL headers of H.264 and HEVC (Annex B or length-prefixed) and FFmpeg's flags of the rest.
class DisposableTest {
 public:
  DisposableTest() = default;
  explicit DisposableTest(const AVCodecParameters& parameters);
  /// True only where no other picture is predicted from this one.
  [[nodiscard]] bool operator()(const AVPacket& packet) const noexcept;

 private:
  AVCodecID codec_ = AV_CODEC_ID_NONE;
  bool intra_only_ = false;
  bool one_layer_ = false;  ///< HEVC: no temporal layer above the first
  int length_bytes_ = 0;    ///< of a NAL's length prefix; 0 means Annex B start codes
};

}  // namespace gantry::media
