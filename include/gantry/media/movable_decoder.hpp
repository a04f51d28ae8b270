#pragma once
// A decoder that takes a running stream from one place to another: from a card to the next, to the CPU and back.
//
// A decoder can only begin with a key frame, and cameras send one every few seconds. So the packets since the last one
// are kept (references, no copies), and the new place decodes them first, without handing anything out: the move costs
// the time of that and no picture. Where more came than may be kept, the move waits for the next key frame.
#include <atomic>
#include <functional>
#include <memory>

#include "gantry/media/decoder.hpp"

namespace gantry::media {

/// Where a camera's stream is to be decoded and where it is. Places are the owner's numbers. Thread-safe.
class DecodeSite {
 public:
  explicit DecodeSite(int place) noexcept : wanted_(place), now_(place) {}
  /// Takes effect with the stream's next packet.
  void move_to(int place) noexcept { wanted_ = place; }
  /// Its decoder chooses anew, where it is wanted: one that found no room on a card may find some now.
  void choose_again() noexcept { ++round_; }
  [[nodiscard]] unsigned round() const noexcept { return round_; }
  [[nodiscard]] int wanted() const noexcept { return wanted_; }
  /// Of the decoder that the next packet goes to, should nothing be wanted otherwise.
  [[nodiscard]] int now() const noexcept { return now_; }
  /// The decoder's.
  void arrived(int place) noexcept { now_ = place; }

 private:
  std::atomic<int> wanted_, now_;
  std::atomic<unsigned> round_{0};
};

/// Called on the camera's thread. May throw nothing.
using MakeDecoderAt = std::function<std::unique_ptr<Decoder>(int place)>;

/// @param site not null, of this stream alone
/// @param most_kept_bytes of coded video since the last key frame
[[nodiscard]] std::unique_ptr<Decoder> make_movable_decoder(MakeDecoderAt make, std::shared_ptr<DecodeSite> site,
                                                            std::size_t most_kept_bytes = std::size_t{4} << 20);

}  // namespace gantry::media
