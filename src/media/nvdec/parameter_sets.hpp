#pragma once
// What H.264 and HEVC parameter sets say about how a stream is predicted: enough to decide whether several streams can
// share one decoder session, and whether pictures come out in the order in which they are decoded. Pure functions over
// Annex B bytes; damaged input gives nothing, never a fault.
#include <cstdint>
#include <optional>
#include <span>

namespace gantry::media {

/// The same stream may change them in mid-stream, with a new parameter set.
struct StreamTraits {
  int profile = 0;        ///< profile_idc
  int references = 0;     ///< most pictures that one may be predicted from
  bool reordered = true;  ///< pictures may come out in another order than they are decoded in, or it can't be told
  bool interlaced = false;
  bool scalable = false;  ///< layers or views beside the base one
  int bit_depth = 8;      ///< luma
  int width = 0;          ///< coded, pixels
  int height = 0;
  friend bool operator==(const StreamTraits&, const StreamTraits&) = default;
};

/// One sequence parameter set, from its NAL header on, emulation prevention bytes still in it.
[[nodiscard]] std::optional<StreamTraits> parse_h264_sps(std::span<const std::uint8_t> nal);
[[nodiscard]] std::optional<StreamTraits> parse_hevc_sps(std::span<const std::uint8_t> nal);

/// What an access unit tells.
struct AccessUnit {
  std::optional<StreamTraits> traits;  ///< where it carries a sequence parameter set
  bool bidirectional = false;          ///< H.264: its first slice is a B slice
};
enum class NalCodec { kH264, kHevc };
/// @param annex_b one access unit with start codes
[[nodiscard]] AccessUnit inspect(std::span<const std::uint8_t> annex_b, NalCodec codec);

}  // namespace gantry::media
