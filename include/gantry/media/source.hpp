#pragma once
// The seam between the world and Gantry: a Source hands out packets, a Decoder turns them into Frames.
//
// A packet is coded video, or raw pixels for sources that draw (the decoder then passes them through). Both seams are
// used by one thread at a time, except cancel(), which any thread may call at any time.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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
  int time_base_num = 0;    ///< the container's tick in seconds is num / den, so that a writer can keep the very same
  int time_base_den = 1;    ///< time stamps; 0 / 1 where unknown
  const void* native = nullptr;  ///< media/native_stream.hpp behind it, for decoders of the same library; may be null
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
  /// Files: the container's own time stamp, plus the length of the rounds before it where the file loops. Live: from
  /// the first packet of the first connection; later connections continue on the same axis.
  Duration pts{};
  TimePoint arrived_at{};       ///< when the last byte of it was here
  bool keyframe = false;        ///< decoding may start here
  bool stream_changed = false;  ///< stream() is new, or starts again: drain the decoder and open it anew. True on the
                                ///< first packet.
  std::string_view name;        ///< pictures: the file's name without its ending, valid like the bytes; video: empty
};

class Source {
 public:
  virtual ~Source() = default;
  /// Opens now what next() would open by itself, so that bad input is known at start. Blocks up to the connect
  /// time-out.
  [[nodiscard]] virtual Result<void> open() = 0;
  /// Blocks until a packet is here, the stream ends (kEndOfStream), it fails, or cancel() is called (kCancelled).
  /// Never throws for a fault of network or file. After a failure other than kCancelled the source may be called again:
  /// a live source then connects anew (the back-off is the caller's, see CameraStream), a folder goes on with its next
  /// picture, a file says kEndOfStream.
  [[nodiscard]] virtual Result<Packet> next() = 0;
  /// The newest description; valid after open.
  [[nodiscard]] virtual const StreamInfo& stream() const noexcept = 0;
  /// Makes next() return kCancelled soon and from then on. Thread-safe.
  virtual void cancel() noexcept = 0;
};

}  // namespace gantry::media
