#pragma once
// One camera from its address to Frames, for ever: connects, reads, decodes, hands out, and comes back by itself after
// whatever happened. Owned by `app`. One thread a camera runs all of it; a camera shares nothing with any other.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/media/backoff.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::media {

enum class CameraState : std::uint8_t {
  kConnecting,  ///< from the start of an attempt to the first picture
  kLive,        ///< pictures come
  kStalled,     ///< connected, and no picture for SourceConfig::stall_after
  kBackingOff,  ///< waits before the next attempt
  kFailed,    ///< refused for a reason that does not pass by itself (password, path, codec, damaged input); it is tried
              ///< again at the longest back-off only
  kFinished,  ///< a file has ended
  kRemoved,   ///< stopped by its owner
};
/// "connecting", "live", "stalled", "backing_off", "failed", "finished", "removed".
[[nodiscard]] const char* to_string(CameraState state) noexcept;

struct StateChange {
  CameraId camera = 0;
  std::string name;
  CameraState from = CameraState::kConnecting;
  CameraState to = CameraState::kConnecting;
  std::string reason;   ///< a sentence without secrets
  Duration retry_in{};  ///< kBackingOff and kFailed: until the next attempt
};

/// What may change while the camera runs.
struct CameraTuning {
  double max_fps = 0;                                  ///< pictures a second let through, 0: all
  Duration deadline = std::chrono::milliseconds(200);  ///< from capture to result
  Priority priority = Priority::kNormal;
  SkipLevel skip = SkipLevel::kNothing;  ///< what the scheduler gives up before decoding
};

struct CameraOptions {
  CameraId id = 0;
  std::string name;
  SourceConfig source;  ///< on_stall is the stream's own
  DecoderOptions decoder;
  BackoffOptions backoff;
  std::uint64_t seed = 0;                            ///< of the back-off's jitter; give each camera its own
  Duration stable_after = std::chrono::seconds(10);  ///< live for this long, the next failure is a first one again
  CameraTuning tuning;
  /// Other ways to decode (a GPU's). Empty: make_ffmpeg_decoder.
  std::function<std::unique_ptr<Decoder>(const DecoderOptions&)> make_decoder;
  /// Other ways to open (tests). Empty: make_source.
  std::function<std::unique_ptr<Source>(const SourceConfig&)> make_source;
};

struct CameraCounters {
  std::uint64_t connections = 0;  ///< attempts that brought a picture
  std::uint64_t attempts = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;      ///< of coded video
  std::uint64_t concealed = 0;  ///< frames handed out with damage patched by the decoder
  int width = 0, height = 0;    ///< of the newest frame, pixels
  DecodePlace decoded_on = DecodePlace::kCpu;
  DecodeReason decoded_there = DecodeReason::kOnlyPlace;  ///< why there
  std::uint64_t mismatched = 0;  ///< DecoderOptions::verify: pictures that differ from a session of their own
};

/// Thread-safe except the constructor and destructor.
class CameraStream {
 public:
  /// Both are called on the camera's thread and must not throw or block for long.
  using OnFrame = std::function<void(Frame&&)>;
  using OnState = std::function<void(const StateChange&)>;

  /// Starts nothing. Each picture is booked in `ledger` as received when it is known: with the Frame that is handed to
  /// `on_frame`, whose end is the receiver's to book, or with its end as rate_limited, decode_skipped or decode_error.
  /// @param ledger outlives the stream
  /// @throws MediaError for a URL scheme that nobody knows, PreconditionError for options out of range
  CameraStream(CameraOptions options, FrameLedger& ledger, OnFrame on_frame, OnState on_state);
  /// Stops and waits.
  ~CameraStream();
  CameraStream(const CameraStream&) = delete;
  CameraStream& operator=(const CameraStream&) = delete;

  void start();
  /// Asks the camera to stop; it does so within a second, whatever its network does. Many cameras stop faster when all
  /// are asked before the first is waited for.
  void cancel() noexcept;
  /// cancel(), and returns when its last callback has returned. Not from a callback.
  void stop() noexcept;

  void tune(const CameraTuning& tuning) noexcept;
  [[nodiscard]] CameraState state() const noexcept;
  [[nodiscard]] CameraCounters counters() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::media
