#pragma once
// What a coded packet holds, judged without decoding it. Internal to the room.
#include "media/av.hpp"

namespace gantry::media {

enum class PictureKind {
  kNone,        ///< parameter sets or messages only: no picture comes of it
  kNeeded,      ///< other pictures may be predicted from it
  kDisposable,  ///< no other picture is predicted from it
};

/// Reads NAL headers of H.264 and HEVC (Annex B or length-prefixed) and FFmpeg's flags of the rest.
class PictureJudge {
 public:
  PictureJudge() = default;
  explicit PictureJudge(const AVCodecParameters& parameters);
  [[nodiscard]] PictureKind operator()(const AVPacket& packet) const noexcept;

 private:
  AVCodecID codec_ = AV_CODEC_ID_NONE;
  bool intra_only_ = false;
  bool one_layer_ = false;  ///< HEVC: no temporal layer above the first
  int length_bytes_ = 0;    ///< of a NAL's length prefix; 0 means Annex B start codes
};

}  // namespace gantry::media
