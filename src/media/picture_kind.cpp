#include "media/picture_kind.hpp"

#include <span>

namespace gantry::media {
namespace {

/// H.264 7.4.1: nal_ref_idc of a slice is 0 in pictures that nothing refers to.
PictureKind judge_h264(std::uint8_t header) noexcept {
  const int type = header & 31;
  if (type < 1 || type > 5) return PictureKind::kNone;
  return (header >> 5 & 3) == 0 ? PictureKind::kDisposable : PictureKind::kNeeded;
}

/// HEVC 7.4.2.2: even types below 16 are not referred to by their own temporal layer. A higher layer may, so this holds
/// only where there is none.
PictureKind judge_hevc(std::uint8_t header) noexcept {
  const int type = header >> 1 & 63;
  if (type >= 32) return PictureKind::kNone;
  return type < 16 && type % 2 == 0 ? PictureKind::kDisposable : PictureKind::kNeeded;
}

/// Position after the next start code (0 0 1) at or after `at`; bytes.size() where there is none.
std::size_t after_start_code(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  for (; at + 3 <= bytes.size(); ++at)
    if (bytes[at] == 0 && bytes[at + 1] == 0 && bytes[at + 2] == 1) return at + 3;
  return bytes.size();
}

/// sps_max_sub_layers_minus1 is 0 in an Annex B parameter set.
bool has_one_layer(std::span<const std::uint8_t> extra) noexcept {
  constexpr int kSps = 33;
  for (std::size_t at = after_start_code(extra, 0); at + 2 < extra.size(); at = after_start_code(extra, at))
    if ((extra[at] >> 1 & 63) == kSps) return (extra[at + 2] >> 1 & 7) == 0;
  return false;
}

}  // namespace

PictureJudge::PictureJudge(const AVCodecParameters& parameters) : codec_(parameters.codec_id) {
  const AVCodecDescriptor* descriptor = avcodec_descriptor_get(codec_);
  intra_only_ = descriptor != nullptr && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY) != 0;
  if (parameters.extradata_size <= 0) return;
  const std::span<const std::uint8_t> extra(parameters.extradata, static_cast<std::size_t>(parameters.extradata_size));
  // avcC and hvcC begin with version 1; Annex B begins with 0.
  const bool prefixed = extra[0] == 1;
  if (codec_ == AV_CODEC_ID_H264 && prefixed && extra.size() >= 7) length_bytes_ = (extra[4] & 3) + 1;
  if (codec_ != AV_CODEC_ID_HEVC) return;
  if (prefixed && extra.size() >= 23) {
    length_bytes_ = (extra[21] & 3) + 1;
    one_layer_ = (extra[21] >> 3 & 7) == 1;
  } else if (!prefixed) {
    one_layer_ = has_one_layer(extra);
  }
}

PictureKind PictureJudge::operator()(const AVPacket& packet) const noexcept {
  if (packet.size <= 0) return PictureKind::kNone;
  const bool hevc = codec_ == AV_CODEC_ID_HEVC;
  if (!hevc && codec_ != AV_CODEC_ID_H264)
    return intra_only_ || (packet.flags & AV_PKT_FLAG_DISPOSABLE) != 0 ? PictureKind::kDisposable
                                                                       : PictureKind::kNeeded;

  const std::span<const std::uint8_t> bytes(packet.data, static_cast<std::size_t>(packet.size));
  for (std::size_t at = 0, next = 0; at < bytes.size(); at = next) {
    if (length_bytes_ != 0) {
      std::size_t length = 0;
      for (int i = 0; i < length_bytes_ && at < bytes.size(); ++i) length = length << 8 | bytes[at++];
      next = at + length;
    } else {
      at = next = after_start_code(bytes, at);
    }
    if (at >= bytes.size()) break;
    const PictureKind kind = hevc ? judge_hevc(bytes[at]) : judge_h264(bytes[at]);
    if (kind == PictureKind::kNone) continue;
    return hevc && !one_layer_ ? PictureKind::kNeeded : kind;
  }
  return PictureKind::kNone;
}

}  // namespace gantry::media
