#pragma once
// FFmpeg's types with owners, and the few translations between its world and Gantry's. Internal to the room.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"
#include "gantry/media/source.hpp"

namespace gantry::media {

struct AvDelete {
  void operator()(AVFrame* p) const noexcept { av_frame_free(&p); }
  void operator()(AVPacket* p) const noexcept { av_packet_free(&p); }
  void operator()(AVCodecContext* p) const noexcept { avcodec_free_context(&p); }
  void operator()(AVCodecParameters* p) const noexcept { avcodec_parameters_free(&p); }
  void operator()(AVFormatContext* p) const noexcept { avformat_close_input(&p); }
  void operator()(SwsContext* p) const noexcept { sws_freeContext(p); }
};
template <typename T>
using AvPtr = std::unique_ptr<T, AvDelete>;

/// How the stored picture must be turned to stand upright: first mirrored left to right, then turned clockwise.
struct Orientation {
  bool mirror = false;
  int quarter_turns = 0;  ///< clockwise, 0…3
  friend bool operator==(const Orientation&, const Orientation&) = default;
  [[nodiscard]] bool upright() const noexcept { return !mirror && quarter_turns == 0; }
};

/// What StreamInfo::native points to.
struct NativeStream {
  AVCodecParameters* parameters = nullptr;
  AVRational time_base{0, 1};
  Orientation orientation;
};

/// From a display matrix (nine 16.16 numbers); angles between the quarters go to the nearest.
[[nodiscard]] Orientation orientation_of(const std::int32_t* display_matrix);
/// The stream's own, upright where it names none.
[[nodiscard]] Orientation orientation_of(const AVCodecParameters& parameters, const AVStream* stream);

/// True where a decoder that was made for one can go on with the other.
[[nodiscard]] bool same_stream(const AVCodecParameters& a, const AVCodecParameters& b) noexcept;

/// Silences FFmpeg's own log, which would print URLs with their passwords. Safe to call from everywhere.
void quiet_ffmpeg_log();

/// FFmpeg's number as a code of ours and a sentence. `what` stands in front and must hold no secret.
[[nodiscard]] Unexpected<Error> av_failure(int averror, const std::string& what);
[[nodiscard]] ErrorCode error_code_of(int averror);

/// @pre timestamp is not AV_NOPTS_VALUE
[[nodiscard]] inline Duration to_duration(std::int64_t timestamp, AVRational time_base) {
  return Duration{av_rescale_q(timestamp, time_base, AVRational{1, 1'000'000'000})};
}

/// Matrix and range that the picture names. Unnamed: BT.601 and limited, as swscale and OpenCV assume.
[[nodiscard]] ColorMatrix matrix_of(AVColorSpace space) noexcept;
[[nodiscard]] ColorRange range_of(AVColorRange range, AVPixelFormat format) noexcept;

}  // namespace gantry::media
