#pragma once
// The seam from packets to Frames. Owned and used by one thread; the Frames that it hands out may go to any thread and
// may outlive it.
//
// A decoder answers for every packet exactly once: with a Frame, or by saying why there is none. Packets that are only
// part of a picture (the second field of interlaced video, a hidden reference picture) are not pictures and are not
// answered for.
//
// Use:   decoder.send(packet);
//        while ((event = decoder.receive(frame)) != DecodeEvent::kNeedPacket) …
#include <cstdint>
#include <memory>
#include <string>

#include "gantry/core/frame.hpp"
#include "gantry/core/result.hpp"
#include "gantry/media/source.hpp"

namespace gantry::media {

enum class DecodeEvent {
  kFrame,       ///< `frame` is filled
  kUnwanted,    ///< sent as Need::kNothing: no picture was made
  kSkipped,     ///< left out because of the skip level
  kLost,        ///< corrupt, or depends on something that was
  kNeedPacket,  ///< nothing more to say until the next send()
};

/// What the caller needs of a packet.
enum class Need {
  kPicture,
  kNothing,  ///< never decoded where no other picture depends on it; decoded and thrown away where one does
};

/// What to leave out before it costs anything. Pictures left out come back as kSkipped.
enum class SkipLevel {
  kNothing,
  kNonReference,  ///< pictures on which no other depends
  kNonKey,        ///< everything but key frames; going back to a lower level waits for the next key frame
};

struct DecoderOptions {
  int threads = 0;   ///< 0: one for live streams (no added delay), all cores up to 8 for files
  std::string name;  ///< the camera's, for whoever makes decoders by it
  /// On a card: a stream that shares a session is decoded a second time, in a session of its own, and every picture is
  /// compared bit by bit; one that differs leaves the shared session. For checks: it doubles the stream's decoding and
  /// copies its pictures to the host.
  bool verify = false;
};

/// Where a stream is decoded.
enum class DecodePlace : std::uint8_t { kCpu, kGpu };
/// Why there.
enum class DecodeReason : std::uint8_t {
  kOnlyPlace,       ///< CPU: no card was asked
  kShared,          ///< GPU, in a session with like cameras
  kOwnSession,      ///< GPU, in a session of its own
  kCodec,           ///< CPU: the card's decoders do not know the codec, profile or pixel format
  kSize,            ///< CPU: too large or too small for them
  kTurned,          ///< CPU: the stream asks for a rotation
  kSessionsUsedUp,  ///< CPU: the driver gives out no more sessions
  kMemoryUsedUp,    ///< CPU: no memory left in the card's budget
  kSaturated,       ///< CPU: the card's decoders have all the work they can do
  kFaults,          ///< CPU: the card failed on the stream again and again
};
inline constexpr int kDecodeReasonCount = 10;
/// snake_case: "only_place", "shared", …
[[nodiscard]] const char* to_string(DecodeReason reason) noexcept;

/// Since the decoder was made.
struct DecoderStats {
  std::uint64_t frames = 0;
  std::uint64_t lost = 0;
  std::uint64_t concealed = 0;            ///< of `frames`: handed out with damaged areas patched by the decoder
  std::uint64_t converted = 0;            ///< of `frames`: copied because of their pixel format or rotation
  std::uint64_t verified = 0;             ///< DecoderOptions::verify: pictures that were equal
  std::uint64_t mismatched = 0;           ///< and that were not
  DecodePlace place = DecodePlace::kCpu;  ///< now
  DecodeReason reason = DecodeReason::kOnlyPlace;  ///< of the last choice

  /// Adds the counts of another decoder of the same stream; `place` and `reason` stay.
  DecoderStats& operator+=(const DecoderStats& other) noexcept {
    frames += other.frames;
    lost += other.lost;
    concealed += other.concealed;
    converted += other.converted;
    verified += other.verified;
    mismatched += other.mismatched;
    return *this;
  }
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Gets ready for a stream: on the first packet and whenever Packet::stream_changed says so. What was still inside is
  /// gone, so finish() and drain first. kUnsupported where no decoder knows the codec.
  [[nodiscard]] virtual Result<void> open(const StreamInfo& stream) = 0;
  /// Never fails: corrupt input shows as kLost. @pre open() and receive() has said kNeedPacket
  virtual void send(const Packet& packet, Need need = Need::kPicture) = 0;
  /// Nothing more will be sent; what is still inside comes out of receive(). Only open() may follow.
  virtual void finish() = 0;
  /// Fills pts, captured_at, image and pixels of `frame` where it says kFrame, and nothing else of it.
  [[nodiscard]] virtual DecodeEvent receive(Frame& frame) = 0;
  virtual void set_skip(SkipLevel level) noexcept = 0;
  [[nodiscard]] virtual DecoderStats stats() const noexcept = 0;
};

/// Decodes on the CPU through FFmpeg and passes raw pictures through. Y'CbCr comes out as NV12 or I420 in the matrix
/// and range that the stream names (unspecified: BT.601, limited), without a copy where FFmpeg decodes to one of the
/// two; RGB comes out as BGR24. Rotation that the stream asks for is done to the pixels.
[[nodiscard]] std::unique_ptr<Decoder> make_ffmpeg_decoder(const DecoderOptions& options = {});

}  // namespace gantry::media
