#pragma once
// Decides, before a packet costs anything, whether it is decoded at all. Shared by all decoders; one thread.
#include "gantry/media/decoder.hpp"
#include "media/picture_kind.hpp"

namespace gantry::media {

class SkipGate {
 public:
  void set(SkipLevel level) noexcept { level_ = level; }
  [[nodiscard]] SkipLevel level() const noexcept { return level_; }
  /// A stream starts, or starts again.
  void reset() noexcept {
    waits_for_key_ = false;
    resumed_at_ = Duration::min();
  }
  /// True where the packet is left out. @pre kind is not kNone
  [[nodiscard]] bool leaves_out(const Packet& packet, PictureKind kind, Need need) noexcept {
    if (packet.keyframe && waits_for_key_) {
      waits_for_key_ = false;
      resumed_at_ = packet.pts;
    }
    if (level_ == SkipLevel::kNonKey && !packet.keyframe) waits_for_key_ = true;
    const bool broken_chain = waits_for_key_ || packet.pts < resumed_at_;
    const bool free_to_go = need == Need::kNothing || level_ >= SkipLevel::kNonReference;
    return broken_chain || (free_to_go && kind == PictureKind::kDisposable);
  }

 private:
  SkipLevel level_ = SkipLevel::kNothing;
  bool waits_for_key_ = false;
  Duration resumed_at_ = Duration::min();  ///< pictures before this one refer to what was left out
};

}  // namespace gantry::media
