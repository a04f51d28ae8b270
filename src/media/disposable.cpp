#include "media/disposable.hpp"

#include <span>

namespace gantry::media {
namespace {

enum class Verdict { kGoOn, kNeeded, kDisposable };

/// H.264 7.4.1: nal_ref_idc of a slice is 0 in pictures that nothing refers to.
Verdict judge_h264(std::uint8_t header) noexcept {
  const int type = header & 31;
  if (type < 1 || type > 5) return Verdict::kGoOn;
  return (header >> 5 & 3) == 0 ? Verdict::kDisposable : Verdict::kNeeded;
}

/// HEVC 7.4.2.2: even types below 16 are not referred to by their own temporal layer. A higher layer may, so this holds
/// only where there is none.
Verdict judge_hevc(std::uint8_t header) noexcept {
  const int type = header >> 1 & 63;
  if (type >= 32) return Verdict::kGoOn;
  return type < 16 && type % 2 == 0 ? Verdict::kDisposable : Verdict::kNeeded;
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

DisposableTest::DisposableTest(const AVCodecParameters& parameters) : codec_(parameters.codec_id) {
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

bool DisposableTest::operator()(const AVPacket& packet) const noexcept {
  if (intra_only_ || (packet.flags & AV_PKT_FLAG_DISPOSABLE) != 0) return true;
  const bool hevc = codec_ == AV_CODEC_ID_HEVC;
  if (hevc ? !one_layer_ : codec_ != AV_CODEC_ID_H264) return false;

  const std::span<const std::uint8_t> bytes(packet.data, static_cast<std::size_t>(packet.size));
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t next = 0;
    if (length_bytes_ != 0) {
      std::size_t length = 0;
      for (int i = 0; i < length_bytes_ && at < bytes.size(); ++i) length = length << 8 | bytes[at++];
      next = at + length;
    } else {
      at = next = after_start_code(bytes, at);
    }
    if (at >= bytes.size()) return false;
    const Verdict verdict = hevc ? judge_hevc(bytes[at]) : judge_h264(bytes[at]);
    if (verdict != Verdict::kGoOn) return verdict == Verdict::kDisposable;
    at = next;
  }
  return false;
}

}  // namespace gantry::media
