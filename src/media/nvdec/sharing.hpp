#pragma once
// The rule that says which streams may share one decoder session, and how many.
//
// Why share: a card gives out only so many sessions (about 288 on an H100, whatever they decode) and takes a tenth of a
// second for each. Why not always: the driver forgets references that a picture does not list, so each picture must
// list the other cameras' live references beside its own (session.hpp), in the 16 entries that it has, and with what a
// codec's own limits leave of them. The limits below were found by hashing every frame against a session of its own;
// docs/gpu-data-path.md has the table.
#include <cstdint>

#include "media/nvdec/parameter_sets.hpp"

namespace gantry::media {

enum class VideoCodec : std::uint8_t { kH264, kHevc, kAv1, kVp9, kMjpeg };
[[nodiscard]] const char* to_string(VideoCodec codec) noexcept;

enum class ShareReason : std::uint8_t {
  kShared,
  kCodec,       ///< only H.264 and HEVC list their references in a way that can be shared
  kNoTraits,    ///< no parameter set was seen
  kInterlaced,  ///< fields are references of their own
  kScalable,    ///< layers or views
  kReordered,   ///< H.264 with B pictures: their direct mode finds the wrong neighbours among foreign references
  kReferences,  ///< the entries of two cameras do not fit
  kSurfaces,    ///< the surfaces of two cameras are more than a session has
  kSwitchedOff,
};
[[nodiscard]] const char* to_string(ShareReason reason) noexcept;

struct SharePlan {
  int cameras = 1;  ///< a session
  ShareReason reason = ShareReason::kShared;
};

inline constexpr int kMostSurfaces = 32;      ///< a session; the driver refuses more
inline constexpr int kMostSharers = 4;        ///< cameras a session
inline constexpr int kReferenceEntries = 16;  ///< of a picture, in both codecs' parameters

/// How many pictures of one camera another camera's picture must list, so that the driver keeps them: those that its
/// last picture listed, and that picture itself. With one reference in H.264 the sliding window leaves the newest only.
[[nodiscard]] int live_references(VideoCodec codec, int references) noexcept;
/// How many entries a picture may fill without harm.
[[nodiscard]] int reference_entries(VideoCodec codec, int width, int height) noexcept;

/// @param traits null: no parameter set was seen
/// @param surfaces_a_camera decode surfaces that each needs
[[nodiscard]] SharePlan plan_sharing(VideoCodec codec, const StreamTraits* traits, int surfaces_a_camera) noexcept;

}  // namespace gantry::media
