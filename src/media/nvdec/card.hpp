#pragma once
// All decoder sessions of one card: who sits where, what the card can take, and the counts.
#include <map>
#include <mutex>
#include <vector>

#include "gantry/media/nvdec.hpp"
#include "media/nvdec/session.hpp"

namespace gantry::media {

class NvdecCard;

/// A camera's part of the decoders' rate. Gives it back where it dies. Move-only.
class LoadShare {
 public:
  LoadShare() = default;
  LoadShare(std::shared_ptr<NvdecCard> card, double frames) : card_(std::move(card)), frames_(frames) {}
  LoadShare(LoadShare&& other) noexcept : card_(std::move(other.card_)), frames_(std::exchange(other.frames_, 0)) {}
  LoadShare& operator=(LoadShare&& other) noexcept {
    std::swap(card_, other.card_);
    std::swap(frames_, other.frames_);
    return *this;
  }
  LoadShare(const LoadShare&) = delete;
  LoadShare& operator=(const LoadShare&) = delete;
  ~LoadShare();

 private:
  std::shared_ptr<NvdecCard> card_;
  double frames_ = 0;
};

/// A seat, or why there is none.
struct SeatOffer {
  std::shared_ptr<Seat> seat;
  DecodeReason reason = DecodeReason::kShared;
};

/// What a parser says of a stream, and its parameter set where there was one.
struct StreamFormat {
  VideoCodec codec = VideoCodec::kH264;
  CUVIDEOFORMAT parsed{};
  const StreamTraits* traits = nullptr;
};

/// How much of the decoders' rate a stream takes, in 1280x720 frames of H.264 a second: by pictures and macroblocks,
/// the other codecs by what an H100 decodes of them (docs/gpu-data-path.md).
[[nodiscard]] double reckoned_load(VideoCodec codec, int width, int height, double frame_rate) noexcept;

class NvdecCard final : public Nvdec {
 public:
  NvdecCard(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> cuvid, const NvdecOptions& options);

  [[nodiscard]] std::unique_ptr<Decoder> make_decoder(const DecoderOptions& options) override;
  [[nodiscard]] NvdecStats stats() const override;

  [[nodiscard]] const NvdecOptions& options() const noexcept { return options_; }
  [[nodiscard]] memory::Gpu& gpu() const noexcept { return *gpu_; }
  [[nodiscard]] Nvcuvid& cuvid() const noexcept { return *cuvid_; }

  /// False where the decoders have no room for it.
  [[nodiscard]] bool take_load(VideoCodec codec, int width, int height, double frame_rate, LoadShare& share);
  void give_load_back(double frames) noexcept;
  /// A seat in the fullest session of that format, or in a new one. Blocks for as long as the driver takes.
  [[nodiscard]] SeatOffer take_seat(const StreamFormat& stream, bool may_share);
  void chose(DecodeReason reason) noexcept;
  void verified(bool equal) noexcept;

 private:
  [[nodiscard]] const CUVIDDECODECAPS& caps_of(const CUVIDEOFORMAT& format);
  [[nodiscard]] DecodeReason fits(const CUVIDEOFORMAT& format);

  const std::shared_ptr<memory::Gpu> gpu_;
  const std::shared_ptr<Nvcuvid> cuvid_;
  const NvdecOptions options_;
  const std::shared_ptr<NvdecCounters> counters_ = std::make_shared<NvdecCounters>();
  double capacity_ = 0;  ///< 1280x720 frames of H.264 a second

  std::mutex opening_;  ///< one session is looked for or made at a time, so that cameras that start together share
  mutable std::mutex mutex_;  ///< what follows
  std::vector<std::weak_ptr<Session>> sessions_;
  std::map<std::array<unsigned, 3>, CUVIDDECODECAPS> caps_;
  double load_ = 0;
  std::array<std::uint64_t, kDecodeReasonCount> choices_{};
  std::uint64_t sessions_opened_ = 0, sessions_refused_ = 0, verified_ = 0, mismatched_ = 0;
};

}  // namespace gantry::media
