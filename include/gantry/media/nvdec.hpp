#pragma once
// Video decoding on an NVIDIA card: H.264, HEVC, AV1, VP9 and MJPEG come out as NV12 pictures that stay on the card.
//
//   auto nvdec = media::Nvdec::open(memory::open_gpu(0));            // one a card
//   camera.make_decoder = [=](auto& options) { return nvdec->make_decoder(options); };
//
// Every camera is decoded where it is best off: on the card, in a session that it shares with like cameras or in one of
// its own, or by FFmpeg on the CPU where the card can't or is full. The choice and its reason are counted here and can
// be asked of each decoder.
//
// A frame's pixels are fetched from the decoder by Frame::map(), when somebody is about to run it; until then it holds
// one decode surface. A camera whose frames hold all of its surfaces gives up the oldest for the newest: map() then
// says kExhausted.
//
// Owner: app. Thread-safe; decoders and frames share it and may outlive the handle.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "gantry/media/decoder.hpp"

namespace gantry::memory {
class Gpu;
class MemoryBudget;
}  // namespace gantry::memory

namespace gantry::media {

class Nvcuvid;

struct NvdecOptions {
  int spare_surfaces = 2;   ///< a camera: frames that may wait to be run; 1…8
  int output_surfaces = 2;  ///< a camera: frames that may be run at the same time; 1…8
  bool share_sessions = true;
  /// Share of the decoders' rate that cameras may take before new ones go to the CPU; 0: no limit.
  double most_load = 0.97;
  /// What all of the card's decoders together do, in 1280x720 frames of H.264 a second; other codecs and sizes are
  /// reckoned from it. 0: by the number of decoders, as measured on an H100 (1,598 each).
  double frames_per_second = 0;
  double share_of_card = 1;  ///< of that rate that is ours, where several halves of a program share a card; 0…1
  /// Share of the card's memory, in use by all programs together, beyond which no session is opened; above 0, up to 1.
  double memory_fraction = 0.8;
  memory::MemoryBudget* budget = nullptr;  ///< where sessions reserve their surfaces; null: nowhere. Outlives all
};

struct NvdecStats {
  int sessions = 0;
  int cameras_shared = 0;  ///< decoding now, in a session with room for others
  int cameras_alone = 0;
  double load = 0;  ///< 0…1 of the decoders' reckoned rate, by what the cameras say of themselves
  std::array<std::uint64_t, kDecodeReasonCount> choices{};  ///< by DecodeReason, since start
  std::uint64_t sessions_opened = 0;
  std::uint64_t sessions_refused = 0;  ///< by the driver
  std::uint64_t decoded = 0;           ///< pictures
  std::uint64_t refused = 0;           ///< pictures that the card did not take
  std::uint64_t mapped = 0;            ///< pictures fetched
  std::uint64_t concealed = 0;         ///< of those, with damage patched
  std::uint64_t map_failed = 0;
  std::uint64_t given_up = 0;      ///< frames that lost their surface to a newer one
  std::uint64_t no_output = 0;     ///< frames that found all output surfaces of their camera in use
  double decode_call_seconds = 0;  ///< spent in the driver's decode calls, which pass a picture on and return
  double map_call_seconds = 0;     ///< and in its map calls, which wait for the picture
  std::uint64_t unlisted = 0;      ///< live references that found no place in another camera's picture: should stay 0
  std::uint64_t verified = 0;      ///< of streams with DecoderOptions::verify: equal to a session of their own
  std::uint64_t mismatched = 0;    ///< and not equal

  /// Several cards as one; `load` is the fullest one's.
  NvdecStats& operator+=(const NvdecStats& other);
};

class Nvdec : public std::enable_shared_from_this<Nvdec> {
 public:
  virtual ~Nvdec() = default;
  /// @throws DeviceError where the decoder library is not there; PreconditionError for options out of range
  [[nodiscard]] static std::shared_ptr<Nvdec> open(std::shared_ptr<memory::Gpu> gpu, const NvdecOptions& options = {});
  /// With another library behind it (tests).
  [[nodiscard]] static std::shared_ptr<Nvdec> open(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> library,
                                                   const NvdecOptions& options);

  /// A decoder that finds the best place for each stream it is opened for.
  [[nodiscard]] virtual std::unique_ptr<Decoder> make_decoder(const DecoderOptions& options = {}) = 0;
  [[nodiscard]] virtual NvdecStats stats() const = 0;
};

}  // namespace gantry::media
