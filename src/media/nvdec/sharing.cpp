#include "media/nvdec/sharing.hpp"

#include <algorithm>
#include <array>

namespace gantry::media {

const char* to_string(VideoCodec codec) noexcept {
  static constexpr std::array<const char*, 5> kNames{"h264", "hevc", "av1", "vp9", "mjpeg"};
  return kNames[static_cast<std::size_t>(codec)];
}

const char* to_string(ShareReason reason) noexcept {
  static constexpr std::array<const char*, 9> kNames{"shared",     "codec",    "no_parameter_set",
                                                     "interlaced", "scalable", "reordered",
                                                     "references", "surfaces", "switched_off"};
  return kNames[static_cast<std::size_t>(reason)];
}

int live_references(VideoCodec codec, int references) noexcept {
  return codec == VideoCodec::kH264 && references == 1 ? 1 : references + 1;
}

int reference_entries(VideoCodec codec, int width, int height) noexcept {
  if (codec == VideoCodec::kHevc) return kReferenceEntries;
  // NVIDIA's header asks H.264's list to meet level 4.1: 32,768 macroblocks (table A-1). Of what that leaves, 7 is the
  // most that has been seen exact and 11 has been seen wrong.
  constexpr int kLevel41Macroblocks = 32768;
  constexpr int kSeenExact = 7;
  const int macroblocks = std::max(1, (width + 15) / 16 * ((height + 15) / 16));
  return std::min(kSeenExact, kLevel41Macroblocks / macroblocks);
}

SharePlan plan_sharing(VideoCodec codec, const StreamTraits* traits, int surfaces_a_camera) noexcept {
  if (codec != VideoCodec::kH264 && codec != VideoCodec::kHevc) return {1, ShareReason::kCodec};
  if (traits == nullptr) return {1, ShareReason::kNoTraits};
  if (traits->interlaced) return {1, ShareReason::kInterlaced};
  if (traits->scalable) return {1, ShareReason::kScalable};
  if (codec == VideoCodec::kH264 && traits->reordered) return {1, ShareReason::kReordered};
  const int own = std::max(1, traits->references);
  const int foreign = live_references(codec, own);
  const int by_entries = 1 + std::max(0, reference_entries(codec, traits->width, traits->height) - own) / foreign;
  const int by_surfaces = kMostSurfaces / std::max(1, surfaces_a_camera);
  const int cameras = std::min({kMostSharers, by_entries, by_surfaces});
  if (cameras >= 2) return {cameras, ShareReason::kShared};
  return {1, by_entries < 2 ? ShareReason::kReferences : ShareReason::kSurfaces};
}

}  // namespace gantry::media
