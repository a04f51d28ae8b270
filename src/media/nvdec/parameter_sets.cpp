#include "media/nvdec/parameter_sets.hpp"

#include <algorithm>
#include <array>

#include "media/nvdec/bit_reader.hpp"

namespace gantry::media {
namespace {

constexpr int kMostSide = 16384;  ///< pixels; anything above is damage

// -- H.264 (ISO/IEC 14496-10)

bool has_chroma_format(int profile) {
  constexpr std::array kProfiles{100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
  return std::find(kProfiles.begin(), kProfiles.end(), profile) != kProfiles.end();
}

void skip_scaling_list(BitReader& in, int size) {
  int last = 8, next = 8;
  for (int i = 0; i < size && in.ok(); ++i) {
    if (next != 0) next = (last + in.se() + 256) % 256;
    if (next != 0) last = next;
  }
}

void skip_h264_hrd(BitReader& in) {
  const std::uint32_t count = std::min(in.ue(), 31U) + 1;
  in.skip(8);
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    in.ue();
    in.ue();
    in.skip(1);
  }
  in.skip(20);
}

/// max_num_reorder_frames, where the VUI says it.
std::optional<std::uint32_t> h264_reorder(BitReader& in) {
  constexpr std::uint32_t kExtendedAspect = 255;
  if (in.bit() != 0 && in.bits(8) == kExtendedAspect) in.skip(32);
  if (in.bit() != 0) in.skip(1);  // overscan
  if (in.bit() != 0) {            // video signal type
    in.skip(4);
    if (in.bit() != 0) in.skip(24);
  }
  if (in.bit() != 0) {  // chroma location
    in.ue();
    in.ue();
  }
  if (in.bit() != 0) in.skip(65);  // timing
  const bool nal_hrd = in.bit() != 0;
  if (nal_hrd) skip_h264_hrd(in);
  const bool vcl_hrd = in.bit() != 0;
  if (vcl_hrd) skip_h264_hrd(in);
  if (nal_hrd || vcl_hrd) in.skip(1);
  in.skip(1);                              // pic_struct
  if (in.bit() == 0) return std::nullopt;  // no bitstream restriction
  in.skip(1);
  in.ue();
  in.ue();
  in.ue();
  in.ue();
  const std::uint32_t reorder = in.ue();
  return in.ok() ? std::optional{reorder} : std::nullopt;
}

// -- HEVC (ISO/IEC 23008-2)

void skip_profile_tier_level(BitReader& in, int layers_minus1, int& profile) {
  in.skip(3);
  profile = static_cast<int>(in.bits(5));
  in.skip(32 + 48 + 8);
  std::array<unsigned, 8> has_profile{}, has_level{};
  for (int i = 0; i < layers_minus1; ++i) {
    has_profile[static_cast<std::size_t>(i)] = in.bit();
    has_level[static_cast<std::size_t>(i)] = in.bit();
  }
  if (layers_minus1 > 0) in.skip(2 * (8 - layers_minus1));
  for (int i = 0; i < layers_minus1; ++i) {
    if (has_profile[static_cast<std::size_t>(i)] != 0) in.skip(88);
    if (has_level[static_cast<std::size_t>(i)] != 0) in.skip(8);
  }
}

}  // namespace

std::optional<StreamTraits> parse_h264_sps(std::span<const std::uint8_t> nal) {
  if (nal.size() < 4) return std::nullopt;
  StreamTraits traits;
  BitReader in(nal.subspan(1));
  traits.scalable = (nal[0] & 31) == 15;  // subset sequence parameter set
  traits.profile = static_cast<int>(in.bits(8));
  in.skip(16);  // constraints, level
  in.ue();      // id
  std::uint32_t chroma = 1;
  if (has_chroma_format(traits.profile)) {
    chroma = in.ue();
    if (chroma == 3) in.skip(1);
    traits.bit_depth = 8 + static_cast<int>(std::min(in.ue(), 8U));
    in.ue();
    in.skip(1);
    if (in.bit() != 0)
      for (int i = 0; i < (chroma == 3 ? 12 : 8) && in.ok(); ++i)
        if (in.bit() != 0) skip_scaling_list(in, i < 6 ? 16 : 64);
  }
  in.ue();  // log2_max_frame_num
  const std::uint32_t order = in.ue();
  if (order == 0) {
    in.ue();
  } else if (order == 1) {
    in.skip(1);
    in.se();
    in.se();
    const std::uint32_t cycle = std::min(in.ue(), 255U);
    for (std::uint32_t i = 0; i < cycle && in.ok(); ++i) in.se();
  }
  traits.references = static_cast<int>(std::min(in.ue(), 16U));
  in.skip(1);  // gaps
  const std::uint32_t width_mbs = in.ue() + 1;
  const std::uint32_t height_units = in.ue() + 1;
  traits.interlaced = in.bit() == 0;
  if (traits.interlaced) in.skip(1);
  in.skip(1);
  if (in.bit() != 0)
    for (int i = 0; i < 4; ++i) in.ue();  // crop
  if (!in.ok() || width_mbs > kMostSide / 16 || height_units > kMostSide / 16) return std::nullopt;
  traits.width = static_cast<int>(width_mbs * 16);
  traits.height = static_cast<int>(height_units * (traits.interlaced ? 32 : 16));
  // Baseline has no B slices; order type 2 means that pictures come out as they are decoded (8.2.1.3).
  constexpr int kBaseline = 66;
  traits.reordered = !(traits.profile == kBaseline || order == 2);
  if (in.bit() != 0)
    if (const auto reorder = h264_reorder(in)) traits.reordered = *reorder != 0;
  return traits;
}

std::optional<StreamTraits> parse_hevc_sps(std::span<const std::uint8_t> nal) {
  if (nal.size() < 4) return std::nullopt;
  StreamTraits traits;
  traits.scalable = ((nal[0] & 1) << 5 | nal[1] >> 3) != 0;  // nuh_layer_id
  BitReader in(nal.subspan(2));
  in.skip(4);
  const int layers_minus1 = static_cast<int>(in.bits(3));
  in.skip(1);
  skip_profile_tier_level(in, layers_minus1, traits.profile);
  in.ue();  // id
  if (in.ue() == 3) in.skip(1);
  const std::uint32_t width = in.ue();
  const std::uint32_t height = in.ue();
  if (in.bit() != 0)
    for (int i = 0; i < 4; ++i) in.ue();  // conformance window
  traits.bit_depth = 8 + static_cast<int>(std::min(in.ue(), 8U));
  in.ue();
  in.ue();  // log2_max_pic_order_cnt_lsb
  std::uint32_t buffering_minus1 = 0, reorder = 0;
  const bool each_layer = in.bit() != 0;
  for (int i = each_layer ? 0 : layers_minus1; i <= layers_minus1; ++i) {
    buffering_minus1 = std::max(buffering_minus1, in.ue());
    reorder = std::max(reorder, in.ue());
    in.ue();
  }
  if (!in.ok() || width == 0 || height == 0 || width > kMostSide || height > kMostSide || buffering_minus1 > 15)
    return std::nullopt;
  traits.width = static_cast<int>(width);
  traits.height = static_cast<int>(height);
  traits.references = static_cast<int>(buffering_minus1);
  traits.reordered = reorder != 0;
  return traits;
}

AccessUnit inspect(std::span<const std::uint8_t> annex_b, NalCodec codec) {
  AccessUnit unit;
  for (std::size_t at = 0; at + 4 <= annex_b.size();) {
    if (annex_b[at] != 0 || annex_b[at + 1] != 0 || annex_b[at + 2] != 1) {
      ++at;
      continue;
    }
    at += 3;
    const auto nal = annex_b.subspan(at);
    const int type = codec == NalCodec::kH264 ? nal[0] & 31 : nal[0] >> 1 & 63;
    if (codec == NalCodec::kH264) {
      constexpr int kSps = 7;
      if (type == kSps) unit.traits = parse_h264_sps(nal);
      if (type >= 1 && type <= 5) {
        BitReader in(nal.subspan(1));
        in.ue();  // first_mb_in_slice
        unit.bidirectional = in.ue() % 5 == 1;
        break;  // parameter sets come before slices
      }
    } else {
      constexpr int kSps = 33;
      if (type == kSps) unit.traits = parse_hevc_sps(nal);
      if (type < 32) break;
    }
  }
  return unit;
}

}  // namespace gantry::media
