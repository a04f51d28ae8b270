#pragma once
// The debug mode that decodes a shared stream a second time, in a session of its own, and compares every picture.
#include "media/nvdec/stream_decoder.hpp"

namespace gantry::media {

class Verifier {
 public:
  explicit Verifier(std::shared_ptr<NvdecCard> card) : card_(std::move(card)), own_(card_, false) {}

  [[nodiscard]] bool open(const StreamInfo& stream) { return own_.open(stream).has_value(); }
  void send(const Packet& packet, Need need) { own_.send(packet, need); }
  void set_skip(SkipLevel level) noexcept { own_.set_skip(level); }
  /// Takes the next answer of the stream's own session and compares it with the shared one's. True where they are equal
  /// or nothing could be compared, because all output surfaces are in use. The frame is mapped afterwards.
  [[nodiscard]] bool agrees(DecodeEvent event, Frame& frame);

  struct Counts {
    std::uint64_t equal = 0, different = 0;  ///< pictures
  };
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  bool note(bool equal);

  const std::shared_ptr<NvdecCard> card_;
  NvdecStreamDecoder own_;
  Counts counts_;
  std::vector<std::uint8_t> shared_pixels_, own_pixels_;
};

}  // namespace gantry::media
