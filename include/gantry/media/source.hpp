#pragma once
// The seam between the world and Gantry: a Source hands out packets, a Decoder turns them into Frames.
//
// A packet is coded video, or raw pixels for sources that draw (the decoder then passes them through). Both seams are
// used by one thread at a time, except cancel(), which any thread may call at any time.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "gantry/core/frame.hpp"
#include "gantry/core/result.hpp"

namespace gantry::media {

/// What a stream says of itself. May change in mid-stream; Packet::stream_changed marks the first packet after a
/// change.
struct StreamInfo {
  std::string codec;        ///< FFmpeg's short name ("h264", "hevc", "mjpeg"), or "raw"
  int width = 0;            ///< pixels, before rotation; 0 where unknown until the first picture
  int height = 0;           ///< pixels
  double frame_rate = 0;    ///< frames a second; 0 where unknown
  Duration duration{};      ///< 0 where unknown or live
  std::int64_t frames = 0;  ///< number of frames; 0 where unknown or live
  bool live = false;        ///< paced by the world, not by the reader
};

/// FFmpeg-coded bytes. The bytes stay valid until the next call of Source::next().
struct CodedPayload {
  std::span<const std::uint8_t> bytes;
  const void* native = nullptr;  ///< the AVPacket behind it, for decoders of the same library; may be null
};
/// Pixels that the source drew itself.
struct RawPayload {
  Image image;
  StorageRef pixels;
};

struct Packet {
  std::variant<CodedPayload, RawPayload> payload;
  Duration pts{};               ///< from the stream's start
  TimePoint arrived_at{};       ///< when the last byte of it was here
  bool keyframe = false;        ///< decoding may start here
  bool stream_changed = false;  ///< stream() is new; the decoder must be made anew
};

class Source {
 public:
  virtual ~Source() = default;
  /// Blocks until a packet is here, the stream ends (kEndOfStream), it fails, or cancel() is called (kCancelled).
  /// Never throws for a fault of network or file. After a failure other than kCancelled the source may be called again:
  /// live sources then reconnect, after their back-off.
  [[nodiscard]] virtual Result<Packet> next() = 0;
  /// The newest description; valid after open.
  [[nodiscard]] virtual const StreamInfo& stream() const noexcept = 0;
  /// Makes next() return kCancelled soon and from then on. Thread-safe.
  virtual void cancel() noexcept = 0;
};

}  // namespace gantry::media
